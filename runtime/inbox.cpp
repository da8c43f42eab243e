// The inbox: posting from any thread, taking on the loop's, and closing while both go on.
#include "runtime/inbox.hpp"

#include "runtime/loop_access.hpp"
#include "runtime/loop_debug.hpp"
#include "runtime/running.hpp"

#include <weir/exceptions.hpp>
#include <weir/remote.hpp>

#include <string>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

Inbox::~Inbox() {
  close();
  for (Node* node = recycled_.load(std::memory_order_acquire); node != nullptr;) {
    delete std::exchange(node, node->next);
  }
}

void Inbox::post(Callback callback, Context context) {
  Node* node = allocate();
  node->callback = std::move(callback);
  node->context = std::move(context);
  Node* head = head_.load(std::memory_order_relaxed);
  do {
    if (head == closed_mark()) {
      delete node;
      throw RuntimeError(std::string("call_soon_threadsafe") +
                         (inherited_ ? is_inherited_text : ": the loop is closed"));
    }
    node->next = head == sleeping_mark() ? nullptr : head;
  } while (!head_.compare_exchange_weak(head, node, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (head == sleeping_mark() || rare_path(FaultPoint::needless_wake)) {
    wake_loop();
  }
}

void Inbox::take_posted(ReadyQueue& ready) {
  Node* newest = head_.exchange(nullptr, std::memory_order_acq_rel);
  if (newest == sleeping_mark()) {
    return;
  }
  Node* oldest = nullptr;
  while (newest != nullptr) {
    Node* node = std::exchange(newest, newest->next);
    node->next = std::exchange(oldest, node);
  }
  while (oldest != nullptr) {
    Node* node = std::exchange(oldest, oldest->next);
    ready.push(&run_posted, node);
  }
}

bool Inbox::prepare_sleep() noexcept {
  Node* expected = nullptr;
  return head_.compare_exchange_strong(expected, sleeping_mark(), std::memory_order_acq_rel);
}

void Inbox::woke() noexcept {
  Node* expected = sleeping_mark();
  head_.compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel);
}

void Inbox::wake_loop() noexcept {
  const std::lock_guard lock(wake_mutex_);
  if (backend_ != nullptr) {
    backend_->wake();
  }
}

void Inbox::close() noexcept {
  Node* newest = head_.exchange(closed_mark(), std::memory_order_acq_rel);
  {
    const std::lock_guard lock(wake_mutex_);
    backend_ = nullptr;
  }
  if (newest == closed_mark() || newest == sleeping_mark()) {
    return;
  }
  while (newest != nullptr) {
    delete std::exchange(newest, newest->next);
  }
}

// Without the mutex, which a thread may hold that is not here.
void Inbox::leave_to_parent() noexcept {
  inherited_ = true;
  head_.store(closed_mark(), std::memory_order_relaxed);
  backend_ = nullptr;
}

// A poster takes the whole recycled list, which leaves no room for the ABA problem, keeps one node and puts
// the rest into its thread's cache.
Inbox::Node* Inbox::allocate() {
  struct Cache {
    Node* first = nullptr;
    ~Cache() {
      while (first != nullptr) {
        delete std::exchange(first, first->next);
      }
    }
  };
  static thread_local Cache cache;
  if (cache.first == nullptr) {
    cache.first = recycled_.exchange(nullptr, std::memory_order_acquire);
  }
  if (cache.first == nullptr) {
    Node* node = new Node;
    node->inbox = this;
    return node;
  }
  Node* node = std::exchange(cache.first, cache.first->next);
  node->inbox = this;
  return node;
}

void Inbox::recycle(Node* node) noexcept {
  node->callback.reset();
  node->context = Context();
  Node* head = recycled_.load(std::memory_order_relaxed);
  do {
    node->next = head;
  } while (
      !recycled_.compare_exchange_weak(head, node, std::memory_order_release, std::memory_order_relaxed));
}

void run_posted(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
  auto* node = static_cast<Inbox::Node*>(object);
  Callback callback = std::move(node->callback);
  Context context = std::move(node->context);
  node->inbox->recycle(node);
  if (action != ReadyAction::run) {
    return;
  }
  if (EventLoop* const loop = running_loop_slot(); loop != nullptr && loop->get_debug()) {
    LoopAccess::debugging(*loop).running = "posted callback " + describe_callback(callback, {});
  }
  if (ContextAccess::is_fresh(context)) {
    callback();
    return;
  }
  const ContextScope scope(context);
  callback();
}

}  // namespace detail

bool LoopRemote::closed() const noexcept { return inbox_->closed(); }

void LoopRemote::post_callback(detail::Callback callback, CallOptions options) const {
  inbox_->post(std::move(callback),
               (options.context != nullptr ? *options.context : copy_context()).cross_thread_copy());
}

}  // namespace weir::inline WEIR_ABI
