// The adapters of this machine, as they are at one moment, with their addresses.
#pragma once

#include "backends/windows/winsock.hpp"

#include <weir/config.hpp>

// After Winsock's.
#include <iphlpapi.h>
#include <cstddef>
#include <memory>

namespace weir::inline WEIR_ABI::detail {

class Adapters {
 public:
  Adapters() noexcept;
  // Null when the system does not tell. They are linked by Next.
  const IP_ADAPTER_ADDRESSES* first() const noexcept {
    return reinterpret_cast<const IP_ADAPTER_ADDRESSES*>(memory_.get());
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
};

}  // namespace weir::inline WEIR_ABI::detail
