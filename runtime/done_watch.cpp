// DoneWatch: a place in the list of each future's waiters, and one coroutine that waits for enough of them.
#include "runtime/loop_access.hpp"
#include "runtime/running.hpp"

#include <weir/detail/done_watch.hpp>
#include <weir/tasks.hpp>

#include <string>

namespace weir::inline WEIR_ABI::detail {

DoneWatch::DoneWatch(std::span<FutureBase* const> futures, const char* call)
    : call_(call), size_(futures.size()), places_(std::make_unique<Place[]>(futures.size())) {
  done_.reserve(size_);
  EventLoop& loop = running_loop_for(call);
  for (const FutureBase* future : futures) {
    check_same_loop(*future, &loop, call);
  }
  for (std::size_t i = 0; i != size_; ++i) {
    places_[i].watch = this;
    places_[i].watched = futures[i];
    futures[i]->link(places_[i]);
  }
}

DoneWatch::~DoneWatch() {
  for (std::size_t i = 0; i != size_; ++i) {
    if (places_[i].future != nullptr) {
      places_[i].future->unlink(places_[i]);
    }
  }
}

// Inside the completion of the future: nothing of the user's runs here.
void DoneWatch::ended(WaitNode& node) noexcept {
  auto& place = static_cast<Place&>(node);
  DoneWatch& self = *place.watch;
  self.done_.push_back(static_cast<std::size_t>(&place - self.places_.get()));
  self.any_failed_ |= place.watched->failed();
  if (self.waiting_ != nullptr && self.waiting_->is_enough()) {
    self.waiting_->wake();
  }
}

DoneWatch::Enough::Enough(DoneWatch& watch, std::size_t wanted, bool or_failed,
                          std::optional<TimePoint> deadline) noexcept
    : CancelHook(&cancel_wait, watch.call_),
      watch_(&watch),
      wanted_(wanted),
      or_failed_(or_failed),
      deadline_(deadline) {}

DoneWatch::Enough::~Enough() {
  timer_.cancel();
  if (watch_->waiting_ == this) {
    watch_->waiting_ = nullptr;
  }
}

bool DoneWatch::Enough::is_enough() const noexcept {
  return watch_->done_.size() >= wanted_ || (or_failed_ && watch_->any_failed_);
}

bool DoneWatch::Enough::await_ready() const {
  if (watch_->waiting_ != nullptr) {
    throw RuntimeError(std::string(watch_->call_) + ": another coroutine waits for it already");
  }
  return is_enough() && spend_await_budget(running_loop_for(watch_->call_));
}

void DoneWatch::Enough::begin() {
  EventLoop& loop = task_->get_loop();
  watch_->waiting_ = this;
  if (is_enough()) {
    wake();
  } else if (deadline_) {
    timer_ = LoopAccess::call_at_plain(loop, *deadline_, [this] { wake(); });
  }
}

void DoneWatch::Enough::wake() noexcept {
  if (!woken_) {
    woken_ = true;
    task_->wake();
  }
}

// Refuses in any case: the cancellation then waits in the task and is thrown by await_resume().
bool DoneWatch::Enough::cancel_wait(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<Enough&>(hook);
  if (!self.woken_) {
    self.task_->interrupted();
    self.wake();
  }
  return false;
}

}  // namespace weir::inline WEIR_ABI::detail
