// What the tests of primitives and queues share: every order of a few steps, with and without turns of the
// loop between them, and words for how a task ended.
#pragma once

#include "tests/support/weir_test.hpp"

#include <weir/exceptions.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

namespace weir::testing {

inline constexpr Duration yield = Duration::zero();

// Turns enough for everything that does not wait for something else.
inline Coro<void> settle() {
  for (int turn = 0; turn != 12; ++turn) {
    co_await sleep(yield);
  }
}

template <class T>
std::string state(const Future<T>& task) {
  return !task.done() ? "pending" : task.cancelled() ? "cancelled" : task.exception() ? "failed" : "done";
}

// Did the task end with an exception of this type?
template <class E, class T>
bool failed_with(const Future<T>& task) {
  if (!task.done() || task.cancelled() || !task.exception()) {
    return false;
  }
  try {
    std::rethrow_exception(task.exception());
  } catch (const E&) {
    return true;
  } catch (...) {
    return false;
  }
}

// One order of the steps; after each as many turns of the loop as its gap says.
class Plan {
 public:
  Plan(std::vector<std::size_t> order, std::vector<int> gaps)
      : order_(std::move(order)), gaps_(std::move(gaps)) {}

  using Steps = std::vector<std::function<void()>>;
  Coro<void> run(const Steps& steps) const {
    for (std::size_t at = 0; at != order_.size(); ++at) {
      steps[order_[at]]();
      for (int turn = 0; turn != gaps_[at]; ++turn) {
        co_await sleep(yield);
      }
    }
    co_await settle();
  }
  // For the message of a failed check.
  std::string text() const {
    std::string text = "steps";
    for (std::size_t at = 0; at != order_.size(); ++at) {
      text += " " + std::to_string(order_[at]) + std::string(static_cast<std::size_t>(gaps_[at]), '.');
    }
    return text;
  }

 private:
  std::vector<std::size_t> order_;
  std::vector<int> gaps_;
};

// Nobody is stranded.
inline void check_all_done(const std::vector<Task<void>>& tasks, const Plan& plan) {
  for (const Task<void>& task : tasks) {
    CHECK_MESSAGE(task.done(), plan.text());
  }
}

// Runs the scenario with every order of `steps` steps and every choice of gaps from 0 to `longest_gap` turns.
inline Coro<void> every_plan(std::size_t steps, int longest_gap,
                             Coro<void> (*scenario)(EventLoop&, const Plan&)) {
  std::vector<std::size_t> order(steps);
  std::iota(order.begin(), order.end(), std::size_t{0});
  do {
    std::vector<int> gaps(steps, 0);
    // The gap behind the last step, of which there is one kind only, says when all others have been chosen.
    while (gaps.back() == 0) {
      const Plan plan(order, gaps);
      co_await scenario(get_running_loop(), plan);
      std::size_t digit = 0;
      while (digit + 1 != steps && gaps[digit] == longest_gap) {
        gaps[digit++] = 0;
      }
      ++gaps[digit];
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace weir::testing
