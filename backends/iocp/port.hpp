// CompletionPort: where Windows puts what it has finished. A thin wrapper; knows no operation.
#pragma once

#include "backends/backend.hpp"
#include "backends/windows/winsock.hpp"

#include <weir/detail/op.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <span>

namespace weir::inline WEIR_ABI::detail {

// What a packet is about.
enum class PortKey : ULONG_PTR { wake, poll, socket, process };

// The operations of the system write their status where it is told when it has ended.
inline std::int32_t status_of(const OVERLAPPED_ENTRY& packet) noexcept {
  // Wine leaves rubbish in the upper half.
  return static_cast<std::int32_t>(packet.lpOverlapped->Internal & 0xffffffff);
}

class CompletionPort {
 public:
  // What comes at once.
  static constexpr std::size_t most_packets = 64;

  // Throws std::system_error when the system refuses.
  CompletionPort();
  ~CompletionPort();
  CompletionPort(const CompletionPort&) = delete;
  CompletionPort& operator=(const CompletionPort&) = delete;

  // What ends on this handle comes here from now on, for as long as the handle is open: 0 or a negated errno.
  std::int64_t add(HANDLE handle, PortKey key) noexcept;
  // Puts a packet there, with an address for who takes it; from any thread. False: the system has no memory.
  bool post(PortKey key, void* subject = nullptr) noexcept;
  // Waits for packets until then, or shorter; TimePoint::max(): until there is one. What came, of which the
  // memory is good until the next call. Throws std::system_error when the port cannot be waited for.
  std::span<const OVERLAPPED_ENTRY> wait(TimePoint deadline);

 private:
  bool set_timer(std::chrono::nanoseconds duration) noexcept;

  HANDLE port_;
  HANDLE timer_;  // null where the system has none that is exact
  std::array<OVERLAPPED_ENTRY, most_packets> packets_;
};

}  // namespace weir::inline WEIR_ABI::detail
