// Gathering: the ends of a gather's children. They are told inside the completion of a child, where nothing
// of the user's runs; whoever waits for the gather is queued then.
#include <weir/event_loop.hpp>
#include <weir/gather.hpp>

#include <utility>

namespace weir::inline WEIR_ABI::detail {

Gathering::Gathering(FutureBase& outer, Collect collect, std::size_t count, bool wants_all)
    : outer_(&outer),
      collect_(collect),
      count_(count),
      pending_(count),
      children_(std::make_unique<Child[]>(count)),
      wants_all_(wants_all) {}

Gathering::~Gathering() {
  for (std::size_t i = 0; i != count_; ++i) {
    if (children_[i].future != nullptr) {
      children_[i].future->unlink(children_[i]);
    }
  }
}

void Gathering::watch(std::size_t place, Ref<FutureBase> child) noexcept {
  Child& node = children_[place];
  node.gathering = this;
  node.state = std::move(child);
  if (outer_->done()) {
    node.state->ignore_exception();  // another has failed already
  }
  node.state->link(node);
}

void Gathering::watched_all() noexcept {
  if (pending_ == 0 && !outer_->done()) {
    complete();
  }
  watching_ = true;
}

void Gathering::ended(WaitNode& node) noexcept {
  const auto& child = static_cast<Child&>(node);
  child.gathering->child_ended(*child.state);
}

void Gathering::child_ended(FutureBase& child) noexcept {
  --pending_;
  if (outer_->done()) {
    return;
  }
  if (wants_all_) {
    child.ignore_exception();  // it is handed out
  } else if (child.failed()) {
    if (std::exception_ptr exception = child.exception(); !failure_) {
      failure_ = std::move(exception);
    }
  } else if (child.cancelled() && !cancel_requested_) {
    try {
      child.throw_unless_value();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  if (failure_ && !cancel_requested_) {
    fail(failure_);
  } else if (pending_ == 0 && watching_) {
    complete();
  }
}

void Gathering::fail(std::exception_ptr exception) noexcept {
  for (std::size_t i = 0; i != count_; ++i) {
    if (children_[i].state != nullptr) {
      children_[i].state->ignore_exception();  // nobody is going to ask
    }
  }
  outer_->complete_with_exception(std::move(exception));
}

void Gathering::complete() noexcept {
  if (cancel_requested_ && !failure_) {
    outer_->complete_cancelled(cancel_message_.str());
    return;
  }
  if (failure_) {
    fail(failure_);
    return;
  }
  try {
    collect_(*outer_);
  } catch (...) {  // a copy that throws
    outer_->complete_with_exception(std::current_exception());
    return;
  }
  outer_->complete_value();
}

bool Gathering::cancel(std::string_view message) noexcept {
  if (outer_->done()) {
    return false;
  }
  // Before the children are asked: a plain future among them ends at once.
  const bool before = std::exchange(cancel_requested_, true);
  cancel_message_ = message;
  const Ref<FutureBase> keep(outer_);
  bool any = false;
  for (std::size_t i = 0; i != count_; ++i) {
    any |= children_[i].state->cancel(message);
  }
  cancel_requested_ = before || any;
  return any;
}

}  // namespace weir::inline WEIR_ABI::detail
