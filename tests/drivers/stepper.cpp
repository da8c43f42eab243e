// Choosing a callback by its number in the ready queue, where everything passes that a loop runs.
#include "tests/drivers/stepper.hpp"

#include "runtime/loop_access.hpp"

#include <doctest/doctest.h>

#include <weir/exceptions.hpp>

#include <utility>

namespace weir::testing {

namespace {

Stepper*& acting() noexcept {
  static constinit Stepper* instance = nullptr;
  return instance;
}

}  // namespace

void Stepper::at(std::uint64_t step, std::function<void()> action) {
  step_ = step;
  action_ = std::move(action);
  choose();
}

void Stepper::leave_at(std::uint64_t step) {
  at(step, [] { throw KeyboardInterrupt(); });
}

// The chosen one keeps its place and its words, so that whoever queued it finds it again.
void Stepper::choose() {
  if (chosen_ != nullptr || step_ == UINT64_MAX) {
    return;
  }
  sequence_ = step_ + own_;
  if (detail::ReadyItem* item = detail::LoopAccess::ready(loop_).find(sequence_); item != nullptr) {
    chosen_ = std::exchange(item->function, &run_chosen);
    acting() = this;
  }
}

// Who goes on with the loop is not to meet it.
void Stepper::unchoose() {
  if (chosen_ != nullptr) {
    detail::ReadyItem* item = detail::LoopAccess::ready(loop_).find(sequence_);
    if (item != nullptr && item->function == &run_chosen) {
      item->function = chosen_;
    }
    chosen_ = nullptr;
  }
  step_ = UINT64_MAX;
}

void Stepper::run_chosen(void* object, std::uintptr_t first, std::uintptr_t second,
                         detail::ReadyAction action) {
  Stepper& self = *acting();
  const detail::ReadyItem::Function function = std::exchange(self.chosen_, nullptr);
  if (action == detail::ReadyAction::drop) {
    function(object, first, second, action);
    return;
  }
  ++self.count_;
  self.step_ = UINT64_MAX;
  const std::function<void()> then = std::move(self.action_);
  try {
    function(object, first, second, action);
  } catch (...) {
    then();
    throw;
  }
  then();
}

// What is ready before a turn is looked at here, and what its poll and its timers bring by the callback that
// was queued before them.
bool Stepper::run(const std::function<bool()>& done, std::uint64_t most) {
  for (std::uint64_t turns = 0; !done(); ++turns) {
    if (turns == most) {
      FAIL_CHECK("the loop has nothing to do any more, and the end has not come");
      unchoose();
      return false;
    }
    choose();
    loop_.call_soon([this] {
      ++own_;
      choose();
    });
    loop_.stop();
    try {
      loop_.run_forever();
    } catch (const KeyboardInterrupt&) {
      return false;
    }
  }
  unchoose();
  return true;
}

}  // namespace weir::testing
