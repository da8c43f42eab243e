// Where children cannot be started yet: nothing gets here, because plans are refused before.
#include "subprocess/child_process.hpp"

#include <weir/exceptions.hpp>

#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

const int killed_returncode = -kill_signal;

ChildProcess::ChildProcess(const SpawnPlan& plan, const Given&) {
  throw NotSupportedError(plan.call, "subprocesses");
}
std::optional<int> ChildProcess::reap() noexcept { return {}; }
void ChildProcess::end() noexcept {}
std::int64_t ChildProcess::send_signal(int) const noexcept { return -ESRCH; }

}  // namespace weir::inline WEIR_ABI::detail
