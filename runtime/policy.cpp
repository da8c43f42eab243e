// The policy of the process and the current loop of a thread.
#include "runtime/fork.hpp"
#include "runtime/running.hpp"

#include <weir/policy.hpp>

#include <mutex>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace {

EventLoop*& thread_loop_slot() noexcept {
  static constinit thread_local EventLoop* loop = nullptr;
  return loop;
}

struct PolicyHolder {
  std::mutex mutex;
  DefaultEventLoopPolicy standard;
  std::shared_ptr<AbstractEventLoopPolicy> replaced;
};

PolicyHolder& policy_holder() {
  static PolicyHolder* const holder = new PolicyHolder;
  return *holder;
}

}  // namespace

namespace detail {

std::mutex& policy_mutex() noexcept { return policy_holder().mutex; }
void forget_current_loop() noexcept { thread_loop_slot() = nullptr; }

}  // namespace detail

AbstractEventLoopPolicy::~AbstractEventLoopPolicy() = default;
DefaultEventLoopPolicy::~DefaultEventLoopPolicy() = default;

EventLoop& DefaultEventLoopPolicy::get_event_loop() {
  if (EventLoop* loop = thread_loop_slot()) {
    return *loop;
  }
  throw RuntimeError("get_event_loop: there is no current event loop in this thread");
}

void DefaultEventLoopPolicy::set_event_loop(EventLoop* loop) { thread_loop_slot() = loop; }

std::unique_ptr<EventLoop> DefaultEventLoopPolicy::new_event_loop() { return std::make_unique<EventLoop>(); }

EventLoop& get_running_loop() { return detail::running_loop_for("get_running_loop"); }

EventLoop& get_event_loop() {
  if (EventLoop* running = detail::running_loop_slot()) {
    return *running;
  }
  return get_event_loop_policy().get_event_loop();
}

void set_event_loop(EventLoop* loop) { get_event_loop_policy().set_event_loop(loop); }

std::unique_ptr<EventLoop> new_event_loop() { return get_event_loop_policy().new_event_loop(); }

AbstractEventLoopPolicy& get_event_loop_policy() {
  PolicyHolder& holder = policy_holder();
  const std::lock_guard lock(holder.mutex);
  return holder.replaced != nullptr ? *holder.replaced : holder.standard;
}

void set_event_loop_policy(std::shared_ptr<AbstractEventLoopPolicy> policy) {
  PolicyHolder& holder = policy_holder();
  const std::lock_guard lock(holder.mutex);
  holder.replaced.swap(policy);  // the old one goes after the lock: its destructor may ask for the policy
}

}  // namespace weir::inline WEIR_ABI
