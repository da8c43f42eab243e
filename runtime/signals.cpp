// Signals: the process-wide table of loops, the handlers of one loop, and the SIGINT plumbing of run().
#include "runtime/signals.hpp"

#include "runtime/fork.hpp"
#include "runtime/loop_access.hpp"
#include "runtime/loop_debug.hpp"

#include <weir/event_loop.hpp>
#include <weir/exceptions.hpp>

#include <bit>
#include <cerrno>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

// The process-wide table. The handler may run on any thread at any time, so it only reads atomics; who leaves
// the table waits until no handler is inside.
constinit std::array<std::atomic<SignalState*>, 64> watching_loops{};
constinit std::atomic<int> handlers_inside{0};

bool enter(SignalState& state) noexcept {
  for (std::atomic<SignalState*>& slot : watching_loops) {
    SignalState* expected = nullptr;
    if (slot.compare_exchange_strong(expected, &state)) {
      return true;
    }
  }
  return false;
}

void leave(SignalState& state) noexcept {
  for (std::atomic<SignalState*>& slot : watching_loops) {
    SignalState* expected = &state;
    slot.compare_exchange_strong(expected, nullptr);
  }
}

// Whoever was inside a handler before has told what it had to tell.
void wait_for_handlers() noexcept {
  while (handlers_inside.load(std::memory_order_seq_cst) != 0) {
    std::this_thread::yield();
  }
}

}  // namespace

void tell_loops_of_signal(int number) noexcept {
  handlers_inside.fetch_add(1, std::memory_order_seq_cst);
  for (std::atomic<SignalState*>& slot : watching_loops) {
    if (SignalState* const state = slot.load(std::memory_order_seq_cst)) {
      state->tell(number);
    }
  }
  handlers_inside.fetch_sub(1, std::memory_order_seq_cst);
}

void forget_loops_of_parent() noexcept {
  for (std::atomic<SignalState*>& slot : watching_loops) {
    slot.store(nullptr, std::memory_order_relaxed);
  }
  handlers_inside.store(0, std::memory_order_relaxed);
}

// --- SignalHandler

SignalHandler::SignalHandler(EventLoop& loop, Callback callback, Context context,
                             std::source_location where) noexcept
    : loop_(loop), callback_(std::move(callback)), context_(std::move(context)), where_(where) {}

void SignalHandler::call() {
  if (loop_.get_debug()) {
    LoopAccess::debugging(loop_).running = describe_callback(callback_, where_);
  }
  const ContextScope scope(context_);
  callback_();
}

// --- SignalState

SignalState::~SignalState() {
  for (int number = 1; number <= last_signal; ++number) {
    remove(number);
  }
  end_interrupt();
}

bool SignalState::wants(int number) const noexcept {
  return handlers_[static_cast<std::size_t>(number)] != nullptr || (number == SIGINT && on_interrupt_);
}

// What came before is nobody's. The bit is there before the first signal can be told.
int SignalState::begin(int number, bool if_default) noexcept {
  if (watched_.load(std::memory_order_relaxed) == 0) {
    if (!enter(*this)) {
      return -ENFILE;
    }
    process_ = this_process();
  }
  if (!wants(number)) {
    pending_.fetch_and(~bit_of(number), std::memory_order_relaxed);
    watched_.fetch_or(bit_of(number), std::memory_order_seq_cst);
  }
  const int result = take_signal(number, if_default);
  if (result < 0) {
    forget_unwanted(number);
  }
  return result;
}

void SignalState::end(int number) noexcept {
  if (process_ == this_process()) {
    give_signal_back(number);
  }
  forget_unwanted(number);
}

void SignalState::forget_unwanted(int number) noexcept {
  if (wants(number)) {
    return;
  }
  if (watched_.fetch_and(~bit_of(number), std::memory_order_seq_cst) == bit_of(number)) {
    leave(*this);
  }
  wait_for_handlers();
}

void SignalState::add(int number, Ref<SignalHandler> handler) {
  Ref<SignalHandler>& slot = handlers_[static_cast<std::size_t>(number)];
  if (slot == nullptr) {
    const int result = begin(number, false);
    if (result == -ENFILE) {
      throw RuntimeError("add_signal_handler: more than " + std::to_string(watching_loops.size()) +
                         " loops watch signals");
    }
    if (result < 0) {
      throw RuntimeError("add_signal_handler: signal " + std::to_string(number) + " cannot be caught");
    }
  }
  std::swap(slot, handler);  // the old one goes last: its captures may use the loop
}

bool SignalState::remove(int number) noexcept {
  const Ref<SignalHandler> removed = std::move(handlers_[static_cast<std::size_t>(number)]);
  if (removed == nullptr) {
    return false;
  }
  end(number);
  return true;
}

bool SignalState::begin_interrupt(Callback on_interrupt) {
  if (begin(SIGINT, true) < 0) {
    return false;
  }
  on_interrupt_ = std::move(on_interrupt);
  return true;
}

bool SignalState::end_interrupt() noexcept {
  if (!on_interrupt_) {
    return false;
  }
  on_interrupt_.reset();
  end(SIGINT);
  return !wants(SIGINT) &&
         (pending_.fetch_and(~bit_of(SIGINT), std::memory_order_relaxed) & bit_of(SIGINT)) != 0;
}

void SignalState::tell(int number) noexcept {
  if ((watched_.load(std::memory_order_seq_cst) & bit_of(number)) != 0) {
    pending_.fetch_or(bit_of(number), std::memory_order_relaxed);
    backend_.wake();
  }
}

// This object lives until the loop closes, which drops what is queued.
void SignalState::queue_slowly(ReadyQueue& ready) {
  std::uint64_t signals = pending_.exchange(0, std::memory_order_relaxed);
  for (; signals != 0; signals &= signals - 1) {
    ready.push(&run, this, static_cast<std::uintptr_t>(std::countr_zero(signals)) + 1);
  }
}

void SignalState::run(void* object, std::uintptr_t number, std::uintptr_t, ReadyAction action) {
  if (action != ReadyAction::run) {
    return;
  }
  auto& self = *static_cast<SignalState*>(object);
  if (const Ref<SignalHandler> handler = self.handlers_[number]; handler != nullptr) {
    handler->call();
  } else if (number == SIGINT && self.on_interrupt_) {
    self.on_interrupt_();
  }
}

namespace {

SignalState& state_of(EventLoop& loop) {
  std::unique_ptr<SignalState>& state = LoopAccess::signals(loop);
  if (state == nullptr) {
    state = std::make_unique<SignalState>(LoopAccess::backend(loop));
  }
  return *state;
}

void check_number(int number, const char* call) {
  if (number < 1 || number > last_signal) {
    throw std::invalid_argument(std::string(call) + ": " + std::to_string(number) +
                                " is no signal: they are 1 to " + std::to_string(last_signal));
  }
}

}  // namespace

InterruptWatch::InterruptWatch(EventLoop& loop, Callback on_interrupt) : loop_(loop) {
  installed_ = on_main_thread() && state_of(loop).begin_interrupt(std::move(on_interrupt));
}

bool InterruptWatch::end() noexcept {
  return std::exchange(installed_, false) && LoopAccess::signals(loop_)->end_interrupt();
}

}  // namespace detail

void EventLoop::watch_signal(int number, detail::Callback callback, CallOptions options,
                             std::source_location where) {
  constexpr const char* call = "add_signal_handler";
  check_open(call);
  check_thread(call);
  detail::check_number(number, call);
  Context context = options.context != nullptr ? *options.context : copy_context();
  detail::state_of(*this).add(
      number, make_ref<detail::SignalHandler>(*this, std::move(callback), std::move(context), where));
}

bool EventLoop::remove_signal_handler(int number) {
  constexpr const char* call = "remove_signal_handler";
  detail::check_number(number, call);
  if (closed_ || closing_ || signals_ == nullptr) {
    return false;
  }
  check_thread(call);
  return signals_->remove(number);
}

}  // namespace weir::inline WEIR_ABI
