// AFD, the driver under Winsock, tells when a socket is ready: a call that is not documented and that
// every readiness library for Windows stands on (wepoll, libuv, mio, Trio). One poll asks about one socket,
// once.
#pragma once

#include "backends/windows/winsock.hpp"

#include <weir/detail/op.hpp>

#include <winternl.h>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

// What is asked, and what is answered.
using AfdEvents = ULONG;
inline constexpr AfdEvents afd_receive = 0x1, afd_send = 0x4, afd_disconnect = 0x8, afd_abort = 0x10,
                           afd_local_close = 0x20, afd_accept = 0x80, afd_connect_fail = 0x100;

// One poll. It belongs to the system from begin() until its packet comes out of the port, whose lpOverlapped
// is at `status`.
struct AfdPoll {
  struct Socket {
    HANDLE handle;
    ULONG events;
    NTSTATUS status;
  };

  IO_STATUS_BLOCK status{};
  LARGE_INTEGER timeout{};
  ULONG count = 0;
  ULONG exclusive = 0;
  Socket socket{};
};

// A way to the driver. Its own handle, so that no socket has to belong to the port.
class Afd {
 public:
  // Throws std::system_error when the system refuses.
  Afd();
  ~Afd();
  Afd(const Afd&) = delete;
  Afd& operator=(const Afd&) = delete;

  HANDLE handle() const noexcept { return handle_; }

  // The socket that the driver knows, below what others have layered on it: 0, or the negated errno of what
  // is no socket.
  static std::int64_t base_of(native_socket native, HANDLE& base) noexcept;
  // 0: a packet will come, even if the answer is there already.
  std::int64_t begin(AfdPoll& poll, HANDLE base, AfdEvents events) noexcept;
  // Its packet still comes, and may bring events.
  void cancel(AfdPoll& poll) noexcept;

 private:
  HANDLE handle_ = INVALID_HANDLE_VALUE;
};

}  // namespace weir::inline WEIR_ABI::detail
