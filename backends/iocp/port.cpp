// Completion ports. Facts that shape this file:
// - GetQueuedCompletionStatusEx counts in milliseconds, by a clock that may tick every 15.6, and may return
//   early: whoever waits looks at the clock again. A timer of Windows 10 is exact, and its call, which does
//   nothing, ends a wait that lets calls in.
// - A handle belongs to one port for as long as it is open.
#include "backends/iocp/port.hpp"

#include "backends/host.hpp"
#include "backends/readiness/time_left.hpp"
#include "backends/windows/errors.hpp"

#include <system_error>

namespace weir::inline WEIR_ABI::detail {

namespace {

// Of longer waits a tick is a small part: they are not worth a call more.
constexpr std::chrono::milliseconds longest_exact{100};

HANDLE open_timer() noexcept {
  constexpr DWORD high_resolution = 2;  // CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
  return ::CreateWaitableTimerExW(nullptr, nullptr, high_resolution, TIMER_ALL_ACCESS);
}

void CALLBACK do_nothing(void*, DWORD, DWORD) {}

}  // namespace

CompletionPort::CompletionPort()
    : port_(::CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1)), timer_(nullptr) {
  if (port_ == nullptr) {
    throw std::system_error(static_cast<int>(-last_error()), os_category(), "CreateIoCompletionPort");
  }
  timer_ = open_timer();
}

CompletionPort::~CompletionPort() {
  if (timer_ != nullptr) {
    ::CancelWaitableTimer(timer_);
    ::CloseHandle(timer_);
  }
  ::CloseHandle(port_);
}

std::int64_t CompletionPort::add(HANDLE handle, PortKey key) noexcept {
  return ::CreateIoCompletionPort(handle, port_, static_cast<ULONG_PTR>(key), 0) == nullptr ? last_error()
                                                                                            : 0;
}

bool CompletionPort::post(PortKey key, void* subject) noexcept {
  return ::PostQueuedCompletionStatus(port_, 0, static_cast<ULONG_PTR>(key),
                                      static_cast<OVERLAPPED*>(subject)) != FALSE;
}

std::span<const OVERLAPPED_ENTRY> CompletionPort::wait(TimePoint deadline) {
  DWORD milliseconds = INFINITE;
  bool is_exact = false;
  if (deadline != TimePoint::max()) {
    const std::chrono::nanoseconds left = time_left(deadline);
    milliseconds = static_cast<DWORD>(to_milliseconds(left));
    is_exact = left > left.zero() && left < longest_exact && set_timer(left);
  }
  ULONG count = 0;
  if (::GetQueuedCompletionStatusEx(port_, packets_.data(), static_cast<ULONG>(packets_.size()), &count,
                                    milliseconds, is_exact ? TRUE : FALSE) != 0) {
    return {packets_.data(), count};
  }
  if (const DWORD error = ::GetLastError(); error != WAIT_TIMEOUT && error != WAIT_IO_COMPLETION) {
    throw std::system_error(static_cast<int>(-negated_error(error)), os_category(),
                            "GetQueuedCompletionStatusEx");
  }
  return {};
}

// One that is set still when packets come first is set anew by the next wait, or ends one that lets calls in
// early.
bool CompletionPort::set_timer(std::chrono::nanoseconds duration) noexcept {
  using Ticks = std::chrono::duration<LONGLONG, std::ratio<1, 10'000'000>>;
  LARGE_INTEGER due;
  due.QuadPart = -std::chrono::ceil<Ticks>(duration).count();  // from now
  return timer_ != nullptr && ::SetWaitableTimer(timer_, &due, 0, &do_nothing, nullptr, FALSE) != FALSE;
}

}  // namespace weir::inline WEIR_ABI::detail
