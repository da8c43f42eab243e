// wait and as_completed: what does not depend on the type of the futures.
#include <weir/event_loop.hpp>
#include <weir/wait.hpp>

#include <stdexcept>
#include <unordered_set>

namespace weir::inline WEIR_ABI::detail {

void leave_one_of_each(std::vector<FutureBase*>& futures) {
  std::unordered_set<FutureBase*> seen;
  std::erase_if(futures, [&seen](FutureBase* future) { return !seen.insert(future).second; });
}

std::size_t count_to_wait_for(std::size_t count, const WaitOptions& options) {
  if (count == 0) {
    throw std::invalid_argument("wait: there is no future to wait for");
  }
  return options.return_when == ReturnWhen::first_completed ? 1 : count;
}

std::optional<TimePoint> deadline_of(std::optional<Duration> timeout, const char* call) {
  if (!timeout) {
    return {};
  }
  return add_clamped(running_loop_for(call).time(), *timeout);
}

}  // namespace weir::inline WEIR_ABI::detail
