// Where children cannot be started yet: nothing gets here, because plans are refused before.
#include "subprocess/child_process.hpp"
#include "subprocess/terminal.hpp"

#include <weir/exceptions.hpp>

#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

ChildProcess::ChildProcess(const SpawnPlan& plan, const Given&) {
  throw NotSupportedError(plan.call, "subprocesses");
}
std::optional<int> ChildProcess::reap() noexcept { return {}; }
void ChildProcess::end() noexcept {}
std::int64_t ChildProcess::send_signal(int) const noexcept { return -ESRCH; }
Terminal open_terminal(TerminalSize, const char* call) { throw NotSupportedError(call, "subprocesses"); }
std::int64_t set_size(native_file, TerminalSize) noexcept { return -ENOTSUP; }

}  // namespace weir::inline WEIR_ABI::detail
