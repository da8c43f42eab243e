// Asking for the adapters.
#include "backends/windows/adapters.hpp"

#include <new>

namespace weir::inline WEIR_ABI::detail {

Adapters::Adapters() noexcept {
  constexpr ULONG flags = GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST | GAA_FLAG_SKIP_DNS_SERVER |
                          GAA_FLAG_SKIP_FRIENDLY_NAME;
  ULONG size = 16 * 1024;  // as Microsoft advises
  ULONG error = ERROR_BUFFER_OVERFLOW;
  for (int tries = 0; tries != 4 && error == ERROR_BUFFER_OVERFLOW; ++tries) {
    memory_.reset(new (std::nothrow) std::byte[size]);
    error = memory_ == nullptr
                ? ERROR_NOT_ENOUGH_MEMORY
                : ::GetAdaptersAddresses(AF_UNSPEC, flags, nullptr,
                                         reinterpret_cast<IP_ADAPTER_ADDRESSES*>(memory_.get()), &size);
  }
  if (error != NO_ERROR) {
    memory_.reset();
  }
}

}  // namespace weir::inline WEIR_ABI::detail
