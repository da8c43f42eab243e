// Connecting to one of several addresses.
#include "net/happy_eyeballs.hpp"

#include "net/os_error.hpp"
#include "net/scoped_timer.hpp"
#include "net/socket_access.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/sock_ops.hpp>
#include <weir/task.hpp>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

using Errors = std::vector<std::exception_ptr>;  // one for each address that was tried

void bind_local(const weir::Socket& socket, const ConnectionPlan& plan, const Address& target) {
  if (!plan.local) {
    return;
  }
  if (plan.local->family() != target.family()) {
    throw os_error(-EADDRNOTAVAIL, "create_connection: local_addr " + plan.local->to_string() +
                                       " has another family than " + target.to_string());
  }
  socket.bind(*plan.local);
}

Coro<weir::Socket> connect_to(EventLoop& loop, const ConnectionPlan& plan, const Address& target) {
  weir::Socket socket = weir::Socket::open(target.family());
  if (plan.keep_alive) {
    socket.set_keep_alive();
  }
  bind_local(socket, plan, target);
  ConnectAwaiter connecting(loop, socket, target, plan.call);
  co_await connecting;
  co_return std::move(socket);
}

// One error for all attempts, as asyncio has it. What is no error of the system is not merged with others.
[[noreturn]] void throw_errors(const ConnectionPlan& plan, const Errors& errors) {
  if (plan.all_errors) {
    throw ExceptionGroup(std::string(plan.call) + " failed", errors);
  }
  const auto as_system_error = [](const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::system_error& e) {
      return e;
    }
  };
  const std::system_error first = as_system_error(errors.front());
  std::string all;
  bool equal = true;
  for (const std::exception_ptr& error : errors) {
    const std::system_error one = as_system_error(error);
    equal = equal && std::string_view(one.what()) == first.what();
    all += (all.empty() ? "" : ", ") + std::string(one.what());
  }
  if (equal) {
    std::rethrow_exception(errors.front());
  }
  throw std::system_error(first.code(), std::string(plan.call) + ": multiple exceptions: " + all);
}

Coro<weir::Socket> connect_in_turn(EventLoop& loop, const ConnectionPlan& plan,
                                   const std::vector<Address>& targets) {
  Errors errors;
  for (const Address& target : targets) {
    try {
      co_return co_await connect_to(loop, plan, target);
    } catch (const std::system_error&) {
      errors.push_back(std::current_exception());
    }
  }
  throw_errors(plan, errors);
}

// --- The race

// A task for each attempt. Whoever awaits run() or end() sees all of them end: nothing here outlives it.
class Race {
 public:
  Race(EventLoop& loop, const ConnectionPlan& plan, const std::vector<Address>& targets)
      : loop_(loop), plan_(plan), targets_(targets), errors_(targets.size()), news_(loop) {
    attempts_.reserve(targets.size());
  }

  // Returns with the first connection, or with the last failure.
  Coro<void> run();
  // Cancels what is still under way and waits for its end, also when the caller is cancelled meanwhile: that
  // is thrown afterwards.
  Coro<void> end();

  weir::Socket winner;  // open when there is one
  // After the end of all. An attempt that somebody else cancelled before it began left none.
  const Errors& errors() {
    std::replace(errors_.begin(), errors_.end(), std::exception_ptr(),
                 std::make_exception_ptr(CancelledError("an attempt to connect was cancelled")));
    return errors_;
  }

 private:
  void start_next();
  Coro<void> attempt(std::size_t index);
  Coro<void> wait_for_news(TimePoint deadline);
  void tell() noexcept {
    if (!news_.done()) {
      news_.set_result();
    }
  }

  EventLoop& loop_;
  const ConnectionPlan& plan_;
  const std::vector<Address>& targets_;
  std::vector<Task<void>> attempts_;
  Errors errors_;
  std::size_t running_ = 0;
  Future<void> news_;  // completed by whatever happens
};

Coro<void> Race::run() {
  while (attempts_.size() != targets_.size()) {
    start_next();
    const TimePoint next = add_clamped(loop_.time(), *plan_.stagger);
    while (!winner.is_open() && !attempts_.back().done() &&
           (attempts_.size() == targets_.size() || loop_.time() < next)) {
      co_await wait_for_news(attempts_.size() == targets_.size() ? TimePoint::max() : next);
    }
    if (winner.is_open()) {
      co_return;
    }
  }
  while (!winner.is_open() && running_ != 0) {
    co_await wait_for_news(TimePoint::max());
  }
}

Coro<void> Race::end() {
  for (Task<void>& one : attempts_) {
    one.cancel();
  }
  std::exception_ptr cancelled;
  while (running_ != 0) {
    try {
      co_await wait_for_news(TimePoint::max());
    } catch (const CancelledError&) {
      cancelled = std::current_exception();
    }
  }
  if (cancelled) {
    std::rethrow_exception(std::move(cancelled));
  }
}

void Race::start_next() {
  const Task<void> task = loop_.create_task(attempt(attempts_.size()));
  ++running_;
  task.add_done_callback([this] {
    --running_;
    tell();
  });
  attempts_.push_back(task);
}

Coro<void> Race::attempt(std::size_t index) {
  try {
    weir::Socket socket = co_await connect_to(loop_, plan_, targets_[index]);
    if (!winner.is_open()) {
      winner = std::move(socket);
    }
  } catch (...) {
    errors_[index] = std::current_exception();
  }
}

// The future is this function's and not a task's, so that cancelling the caller cancels no attempt.
Coro<void> Race::wait_for_news(TimePoint deadline) {
  news_ = Future<void>(loop_);
  const ScopedTimer timer(loop_, deadline, [this] { tell(); });
  const Future<void> news = news_;
  co_await news;
}

Coro<weir::Socket> connect_in_race(EventLoop& loop, const ConnectionPlan& plan,
                                   const std::vector<Address>& targets) {
  Race race(loop, plan, targets);
  std::exception_ptr interrupted;
  try {
    co_await race.run();
  } catch (...) {
    interrupted = std::current_exception();
  }
  co_await race.end();
  if (interrupted) {
    std::rethrow_exception(std::move(interrupted));
  }
  if (!race.winner.is_open()) {
    throw_errors(plan, race.errors());
  }
  co_return std::move(race.winner);
}

}  // namespace

std::vector<Address> interleave(const std::vector<Address>& addresses, int first_count) {
  std::vector<AddressFamily> families;  // in the order of their first addresses
  for (const Address& address : addresses) {
    if (std::find(families.begin(), families.end(), address.family()) == families.end()) {
      families.push_back(address.family());
    }
  }
  std::vector<std::vector<Address>> lists(families.size());
  for (const Address& address : addresses) {
    const auto family = std::find(families.begin(), families.end(), address.family());
    lists[static_cast<std::size_t>(family - families.begin())].push_back(address);
  }
  std::vector<Address> mixed;
  std::vector<std::size_t> taken(lists.size());
  while (mixed.size() != addresses.size()) {
    for (std::size_t i = 0; i != lists.size(); ++i) {
      const std::size_t count = mixed.empty() ? static_cast<std::size_t>(first_count) : 1;
      for (std::size_t n = 0; n != count && taken[i] != lists[i].size(); ++n) {
        mixed.push_back(lists[i][taken[i]++]);
      }
    }
  }
  return mixed;
}

Coro<weir::Socket> connect_to_one(EventLoop& loop, const ConnectionPlan& plan) {
  const std::vector<Address> targets =
      plan.interleave != 0 ? interleave(plan.targets, plan.interleave) : plan.targets;
  if (plan.stagger && targets.size() > 1) {
    co_return co_await connect_in_race(loop, plan, targets);
  }
  co_return co_await connect_in_turn(loop, plan, targets);
}

}  // namespace weir::inline WEIR_ABI::detail
