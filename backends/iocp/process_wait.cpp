// Waiting for a process. Facts that shape this file:
// - A port cannot be given a process: only a job's messages come to one, and those may get lost.
// - UnregisterWaitEx with INVALID_HANDLE_VALUE waits for a call that has begun: after it the call has posted,
//   or never will. It is as short as its one system call, and takes no lock.
#include "backends/iocp/process_wait.hpp"

#include "backends/windows/errors.hpp"

#include <utility>

namespace weir::inline WEIR_ABI::detail {

std::int64_t ProcessWait::begin(CompletionPort& port, HANDLE process, void* subject) noexcept {
  port_ = &port;
  subject_ = subject;
  has_posted_ = false;
  const BOOL begun = ::RegisterWaitForSingleObject(&wait_, process, &tell, this, INFINITE,
                                                   WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD);
  if (begun == FALSE) {
    wait_ = nullptr;
    return last_error();
  }
  return 0;
}

bool ProcessWait::end() noexcept {
  const HANDLE wait = std::exchange(wait_, nullptr);
  if (wait == nullptr) {
    return false;
  }
  ::UnregisterWaitEx(wait, INVALID_HANDLE_VALUE);
  return has_posted_;
}

// In a thread of the system's. The packet may be taken while this still runs, and end() then waits for it.
void CALLBACK ProcessWait::tell(void* self, BOOLEAN) noexcept {
  auto& wait = *static_cast<ProcessWait*>(self);
  wait.has_posted_ = wait.port_->post(PortKey::process, wait.subject_);
}

}  // namespace weir::inline WEIR_ABI::detail
