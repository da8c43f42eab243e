// gather, wait, as_completed, shield, timeout and TaskGroup. Mirrored by structured.py.
#include "tests/asyncio_parity/trace.hpp"

#include <weir/exceptions.hpp>
#include <weir/gather.hpp>
#include <weir/shield.hpp>
#include <weir/task_group.hpp>
#include <weir/timeout.hpp>
#include <weir/wait.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <vector>

using namespace parity;
using namespace std::chrono_literals;
using weir::Coro;
using weir::Future;
using weir::sleep;
using weir::Task;

namespace {

constexpr const char* group = "structured";

using Gate = Future<std::string>;

Coro<std::string> get(Gate gate) { co_return co_await gate; }
Coro<std::string> fail_after(Gate gate, std::string text) {
  co_await gate;
  throw Oops(text);
}
Coro<std::string> stubborn(Gate gate, std::string value) {
  try {
    co_await gate;
  } catch (const weir::CancelledError&) {
  }
  co_return value;
}
Coro<void> yield() { co_await sleep(0s); }

void open_gate(const Gate& gate) {
  if (!gate.done()) {
    gate.set_result("opened");
  }
}

// As itertools.permutations: by the places of the letters.
void extend(std::vector<std::string>& all, const std::string& letters, const std::string& begun,
            std::size_t size) {
  if (begun.size() == size) {
    all.push_back(begun);
    return;
  }
  for (const char letter : letters) {
    if (begun.find(letter) == std::string::npos) {
      extend(all, letters, begun + letter, size);
    }
  }
}
std::vector<std::string> orders(const std::string& letters) {
  std::vector<std::string> all;
  for (std::size_t size = 1; size <= letters.size(); ++size) {
    extend(all, letters, "", size);
  }
  return all;
}

Coro<void> pass_turns() {
  for (int i = 0; i != 5; ++i) {
    co_await sleep(0s);
  }
}

std::string end_of(const Gate& future) {
  return outcome([&] { return future.result(); });
}

}  // namespace

SCENARIO(gather_in_order) {
  auto first = loop.create_future<std::string>();
  auto second = loop.create_future<std::string>();
  const auto together = weir::gather(get(first), get(second));
  co_await sleep(0s);
  second.set_result("second");
  co_await pass_turns();
  trace(together.done());
  first.set_result("first");
  const auto [one, two] = co_await together;
  trace(one, two);
}

SCENARIO(gather_and_the_first_failure) {
  auto first = loop.create_future<std::string>();
  auto second = loop.create_future<std::string>();
  auto other = loop.create_task(get(second));
  const auto all = weir::gather(fail_after(first, "of the first"), other);
  const auto together = [](Future<std::tuple<std::string, std::string>> of) -> Coro<void> { co_await of; };
  co_await sleep(0s);
  first.set_result("");
  const std::string end = co_await outcome_of(together(all));
  trace(end, other.done());
  second.set_result("goes on");
  const std::string rest = co_await outcome_of<std::string>(other);
  trace(rest, all.cancelled());
}

SCENARIO(gather_with_exceptions) {
  auto gate = loop.create_future<std::string>();
  auto child = loop.create_task(get(gate));
  const auto together =
      weir::gather(weir::return_exceptions, fail_after(gate, "failed"), child, stubborn(gate, "well"));
  co_await sleep(0s);
  child.cancel();
  co_await pass_turns();
  const auto [a, b, c] = co_await together;
  trace(end_of(a), end_of(b), end_of(c));
}

SCENARIO(gather_cancelled) {
  for (const bool with_stubborn : {false, true}) {
    auto gate = loop.create_future<std::string>();
    auto other = loop.create_future<std::string>();
    std::vector<Task<std::string>> children;
    children.push_back(loop.create_task(get(gate)));
    children.push_back(loop.create_task(with_stubborn ? stubborn(other, "stays") : get(other)));
    auto together = weir::gather(children);
    co_await sleep(0s);
    trace(together.cancel());
    const auto wait_for_them = [](Future<std::vector<std::string>> of) -> Coro<void> { co_await of; };
    trace(co_await outcome_of(wait_for_them(together)));
    co_await pass_turns();
    trace(end_of(children[0]), end_of(children[1]), together.cancel());
  }
}

SCENARIO(a_cancelled_child_of_gather) {
  auto gate = loop.create_future<std::string>();
  auto child = loop.create_task(get(gate));
  auto other = loop.create_future<std::string>();
  const auto together = [](Future<std::tuple<std::string, std::string>> of) -> Coro<void> { co_await of; };
  const auto all = weir::gather(child, other);
  co_await sleep(0s);
  child.cancel("by itself");
  const std::string end = co_await outcome_of(together(all));
  trace(end, other.done(), child.cancelled());
}

SCENARIO(wait_and_when_it_returns) {
  using weir::ReturnWhen;
  for (const ReturnWhen when :
       {ReturnWhen::first_completed, ReturnWhen::first_exception, ReturnWhen::all_completed}) {
    for (const char* const name : {"value", "failure", "cancellation"}) {
      const std::string end = name;
      std::vector<Gate> futures;
      for (int i = 0; i != 3; ++i) {
        futures.push_back(loop.create_future<std::string>());
      }
      auto waiting = loop.create_task(weir::wait(futures, {.return_when = when}));
      co_await sleep(0s);
      if (end == "value") {
        futures[1].set_result("");
      } else if (end == "failure") {
        futures[1].set_exception(Oops("failed"));
      } else {
        futures[1].cancel();
      }
      co_await pass_turns();
      trace(end, waiting.done());
      open_gate(futures[0]);
      open_gate(futures[2]);
      const auto found = co_await waiting;
      trace(found.done.size(), found.pending.size(), end_of(futures[0]), end_of(futures[1]),
            end_of(futures[2]));
    }
  }
}

SCENARIO(as_completed_by_their_ends) {
  std::vector<Gate> futures;
  for (int i = 0; i != 3; ++i) {
    futures.push_back(loop.create_future<std::string>());
  }
  const auto tell = [](std::vector<Gate> of) -> Coro<void> {
    auto ended = weir::as_completed(std::move(of));
    while (auto each = co_await ended.next()) {
      trace(end_of(*each));
    }
  };
  auto telling = loop.create_task(tell(futures));
  co_await sleep(0s);
  futures[2].set_result("third");
  futures[0].set_exception(Oops("first"));
  co_await pass_turns();
  futures[1].cancel();
  co_await telling;
}

SCENARIO(shield_from_a_cancellation) {
  auto gate = loop.create_future<std::string>();
  auto inner = loop.create_task(get(gate));
  auto outer = loop.create_task(outcome_of(weir::shield(inner)));
  co_await sleep(0s);
  co_await sleep(0s);
  outer.cancel("outside");
  const std::string end = co_await outer;
  trace(end, inner.done());
  gate.set_result("inside");
  trace(co_await inner);
  inner = loop.create_task(get(loop.create_future<std::string>()));
  const auto shielded = weir::shield(inner);
  co_await sleep(0s);
  inner.cancel();
  const std::string last = co_await outcome_of(shielded);
  trace(last, shielded.cancelled());
}

SCENARIO(a_timeout_in_every_order) {
  for (const std::string& order : orders("vtc")) {
    for (const char* const name : {"waits", "insists"}) {
      const bool insists = std::string_view(name) == "insists";
      auto gate = loop.create_future<std::string>();
      weir::Timeout scope;
      const auto work = [](weir::Timeout& of, Gate until, bool stays) -> Coro<void> {
        const auto body = [until, stays] { return stays ? stubborn(until, "insisted") : get(until); };
        trace(co_await outcome_of(of.run(body)));
        trace(co_await outcome_of(yield()));
      };
      auto task = loop.create_task(work(scope, gate, insists));
      co_await sleep(0s);
      trace("-", name, order);
      for (const char step : order) {
        if (step == 'v') {
          open_gate(gate);
        } else if (step == 't') {
          scope.reschedule(loop.time());
        } else {
          task.cancel();
        }
      }
      co_await task;
      trace(scope.expired(), task.cancelling());
    }
  }
}

SCENARIO(a_group_in_every_order) {
  struct Gates {
    Gate a, b, o, never;
  };
  for (const std::string& order : orders("abo")) {
    Gates gates;
    const auto work = [](const Gates& of) -> Coro<void> {
      const auto body = [&of](weir::TaskGroup& tasks) -> Coro<void> {
        tasks.create_task(fail_after(of.a, "a"));
        tasks.create_task(fail_after(of.b, "b"));
        tasks.create_task(stubborn(of.never, ""));
        co_await of.o;
        trace("the body ends");
      };
      try {
        co_await weir::task_group(body);
      } catch (const weir::ExceptionGroup& errors) {
        std::string line = "group";
        for (const std::exception_ptr& error : errors.exceptions()) {
          line += " " + kind(error);
        }
        trace(line);
      } catch (...) {
        trace(kind(std::current_exception()));
      }
      trace(co_await outcome_of(yield()));
    };
    auto task = loop.create_task(work(gates));
    co_await sleep(0s);
    co_await sleep(0s);
    trace("-", order);
    for (const char step : order) {
      open_gate(step == 'a' ? gates.a : step == 'b' ? gates.b : gates.o);
    }
    co_await pass_turns();
    for (const Gate& gate : {gates.never, gates.a, gates.b, gates.o}) {
      open_gate(gate);
    }
    co_await task;
    trace(gates.never.cancelled());
  }
}

SCENARIO(a_group_whose_owner_is_cancelled) {
  auto never = loop.create_future<std::string>();
  auto endless = loop.create_future<std::string>();
  const auto work = [](const Gate& first, const Gate& second) -> Coro<void> {
    const auto body = [&first, &second](weir::TaskGroup& tasks) {
      tasks.create_task(get(first));
      return get(second);
    };
    co_await weir::task_group(body);
  };
  auto task = loop.create_task(work(never, endless));
  co_await sleep(0s);
  co_await sleep(0s);
  task.cancel("outside");
  const std::string end = co_await outcome_of<void>(task);
  trace(end, never.cancelled(), task.cancelling());
}
