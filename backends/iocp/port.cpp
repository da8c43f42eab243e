// Completion ports. Facts that shape this file:
// - GetQueuedCompletionStatusEx counts in milliseconds, by a clock that may tick every 15.6, and may return
//   early: whoever waits looks at the clock again.
// - A handle belongs to one port for as long as it is open.
#include "backends/iocp/port.hpp"

#include "backends/host.hpp"
#include "backends/windows/errors.hpp"

#include <algorithm>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

CompletionPort::CompletionPort() : port_(::CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1)) {
  if (port_ == nullptr) {
    throw std::system_error(static_cast<int>(-last_error()), os_category(), "CreateIoCompletionPort");
  }
}

CompletionPort::~CompletionPort() { ::CloseHandle(port_); }

std::int64_t CompletionPort::add(HANDLE handle, PortKey key) noexcept {
  return ::CreateIoCompletionPort(handle, port_, static_cast<ULONG_PTR>(key), 0) == nullptr ? last_error()
                                                                                            : 0;
}

void CompletionPort::post(PortKey key) noexcept {
  ::PostQueuedCompletionStatus(port_, 0, static_cast<ULONG_PTR>(key), nullptr);
}

std::span<const OVERLAPPED_ENTRY> CompletionPort::wait(DWORD milliseconds) {
  ULONG count = 0;
  if (::GetQueuedCompletionStatusEx(port_, packets_.data(), static_cast<ULONG>(packets_.size()), &count,
                                    milliseconds, FALSE) != 0) {
    return {packets_.data(), count};
  }
  if (const DWORD error = ::GetLastError(); error != WAIT_TIMEOUT) {
    throw std::system_error(static_cast<int>(-negated_error(error)), os_category(),
                            "GetQueuedCompletionStatusEx");
  }
  return {};
}

DWORD to_milliseconds(std::chrono::nanoseconds duration) noexcept {
  const auto left = std::min<std::chrono::nanoseconds>(duration, std::chrono::hours(24));
  return static_cast<DWORD>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

}  // namespace weir::inline WEIR_ABI::detail
