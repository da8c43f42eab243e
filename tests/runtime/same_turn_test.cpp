// WAIT and TGRP, the corners: all that can happen to a scope, in every order, within one turn.
#include "tests/runtime/outcome.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/gather.hpp>
#include <weir/shield.hpp>
#include <weir/task_group.hpp>
#include <weir/timeout.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// One of the things that may happen, told by its letter.
struct Step {
  char letter;
  std::function<void()> act;
};

// Every order of every choice of the letters.
std::vector<std::string> orders(const std::string& letters) {
  std::vector<std::string> all;
  for (unsigned chosen = 1; chosen != 1U << letters.size(); ++chosen) {
    std::string choice;
    for (std::size_t i = 0; i != letters.size(); ++i) {
      if ((chosen & 1U << i) != 0) {
        choice += letters[i];
      }
    }
    do {
      all.push_back(choice);
    } while (std::next_permutation(choice.begin(), choice.end()));
  }
  return all;
}

bool has_letter(const std::string& order, char letter) { return order.find(letter) != std::string::npos; }

// Takes the steps in this order, in one turn: all in one callback, or each in a callback of its own.
void take_steps(EventLoop& loop, const std::string& order, const std::vector<Step>& steps, bool in_one) {
  std::vector<std::function<void()>> acts;
  for (const char letter : order) {
    acts.push_back(std::find_if(steps.begin(), steps.end(), [letter](const Step& step) {
                     return step.letter == letter;
                   })->act);
  }
  if (in_one) {
    loop.call_soon([acts] {
      for (const auto& act : acts) {
        act();
      }
    });
  } else {
    for (const auto& act : acts) {
      loop.call_soon(act);
    }
  }
}

void open_gate(const Future<int>& gate) {
  if (!gate.done()) {
    gate.set_result(1);
  }
}

// What comes of `coroutine`, and whether another cancellation is thrown at the next await.
Coro<std::string> with_aftermath(Coro<int> coroutine) {
  std::string text = co_await outcome_of(std::move(coroutine));
  const std::string after = co_await outcome_of(sleep(0s));
  co_return after == "value" ? text : text + " and then " + after;
}

int count(const std::string& text, const std::string& word) {
  int found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    ++found;
  }
  return found;
}

// Whoever cancels the task is heard once, and nobody is heard who has not.
void check_cancellation(const std::string& end, const std::string& order, const Task<std::string>& task) {
  CHECK(count(end, "cancelled") == (has_letter(order, 'c') ? 1 : 0));
  CHECK(task.cancelling() == (has_letter(order, 'c') ? 1 : 0));
}

}  // namespace

// v: the value is there; t: the deadline passes; c: the task is cancelled.
WEIR_TEST("WAIT-018 WAIT-022 WAIT-025 a value, a deadline and a cancellation in one turn, in every order") {
  enum class What { future, coroutine, task, shielded };
  for (const What what : {What::future, What::coroutine, What::task, What::shielded}) {
    for (const std::string& order : orders("vtc")) {
      for (const bool in_one : {true, false}) {
        CAPTURE(static_cast<int>(what));
        CAPTURE(order);
        CAPTURE(in_one);
        auto gate = loop.create_future<int>();
        Timeout scope;
        const auto body = [&]() -> Coro<int> {
          if (what == What::future) {
            co_return co_await gate;
          }
          if (what == What::coroutine) {
            co_return co_await get(gate);
          }
          if (what == What::task) {
            co_return co_await create_task(get(gate));
          }
          co_return co_await shield(gate);
        };
        auto task = create_task(with_aftermath(scope.run(body)));
        co_await sleep(0s);
        co_await sleep(0s);
        take_steps(loop, order,
                   {{'v', [&] { open_gate(gate); }},
                    {'t',
                     [&] {
                       if (!task.done()) {
                         scope.reschedule(loop.time());
                       }
                     }},
                    {'c', [&] { task.cancel(); }}},
                   in_one);
        const std::string end = co_await task;
        CAPTURE(end);
        check_cancellation(end, order, task);
        CHECK((!end.starts_with("TimeoutError") || scope.expired()));
        CHECK((!end.starts_with("value") || has_letter(order, 'v')));
        if (order == "v") {
          CHECK(end == "value 1");
        } else if (order == "t") {
          CHECK(end == "TimeoutError");
        }
      }
    }
  }
}

// a, b: one of the tasks fails; o: the body's gate opens; g: TaskGroup::cancel; c: the owner is cancelled.
WEIR_TEST("TGRP-002 TGRP-004 TGRP-010 all that may happen to a group in one turn, in every order") {
  for (const std::string& order : orders("abogc")) {
    for (const bool in_one : {true, false}) {
      CAPTURE(order);
      CAPTURE(in_one);
      auto gate_a = loop.create_future<int>();
      auto gate_b = loop.create_future<int>();
      auto never = loop.create_future<int>();
      auto gate = loop.create_future<int>();
      TaskGroup* inside = nullptr;
      std::vector<Task<int>> tasks;
      const auto body = [&](TaskGroup& group) -> Coro<int> {
        inside = &group;
        tasks.push_back(group.create_task(fail_after(gate_a, "a")));
        tasks.push_back(group.create_task(fail_after(gate_b, "b")));
        tasks.push_back(group.create_task(get(never)));
        co_return co_await gate;
      };
      auto task = create_task(with_aftermath(task_group(body)));
      co_await sleep(0s);
      co_await sleep(0s);
      take_steps(loop, order,
                 {{'a', [&] { open_gate(gate_a); }},
                  {'b', [&] { open_gate(gate_b); }},
                  {'o', [&] { open_gate(gate); }},
                  {'g', [&] { inside->cancel(); }},
                  {'c', [&] { task.cancel(); }}},
                 in_one);
      const bool ends_by_itself = order != "o";
      if (!ends_by_itself) {
        co_await until([&] { return task.task().awaiting() == "task_group"; });
        CHECK_FALSE(never.done());
        never.set_result(0);
        open_gate(gate_a);
        open_gate(gate_b);
      }
      const std::string end = co_await task;
      CAPTURE(end);
      for (const Task<int>& each : tasks) {
        CHECK(each.done());
      }
      CHECK((never.cancelled() || !ends_by_itself));
      // A group with a body that gave no value, because it was cancelled by itself, says so in its own words.
      const bool own = end.starts_with("cancelled the task group");
      if (own) {
        CHECK((has_letter(order, 'g') && !has_letter(order, 'c')));
      } else {
        check_cancellation(end, order, task);
      }
      const bool failed = std::any_of(tasks.begin(), tasks.end(), [](const Task<int>& each) {
        return !each.cancelled() && each.exception();
      });
      CHECK(failed == end.starts_with("group ["));
      for (const std::size_t i : {0, 1}) {
        const std::string name = i == 0 ? "Failure a" : "Failure b";
        CHECK((end.find(name) != std::string::npos) == (end_of(tasks[i]) == name));
      }
    }
  }
}

// v, w: the children have their values; f: one fails; k: one is cancelled; c: the awaiting task is cancelled.
WEIR_TEST("WAIT-008 WAIT-010 WAIT-011 all that may happen to a gather in one turn, in every order") {
  for (const std::string& order : orders("vwfkc")) {
    for (const bool in_one : {true, false}) {
      CAPTURE(order);
      CAPTURE(in_one);
      auto first = loop.create_future<int>();
      auto second = loop.create_future<int>();
      auto third = loop.create_future<int>();
      auto child = create_task(get(second));
      const auto body = [&]() -> Coro<int> {
        const auto [a, b, c] = co_await gather(get(first), child, third);
        co_return a + b + c;
      };
      auto task = create_task(with_aftermath(body()));
      co_await sleep(0s);
      co_await sleep(0s);
      const auto fail_third = [&] {
        if (!third.done()) {
          third.set_exception(Failure("third"));
        }
      };
      take_steps(loop, order,
                 {{'v', [&] { open_gate(first); }},
                  {'w', [&] { open_gate(second); }},
                  {'f', fail_third},
                  {'k', [&] { child.cancel("child"); }},
                  {'c', [&] { task.cancel("owner"); }}},
                 in_one);
      co_await sleep(0s);
      co_await sleep(0s);
      co_await sleep(0s);
      open_gate(first);
      open_gate(second);
      open_gate(third);
      const std::string end = co_await task;
      CAPTURE(end);
      co_await outcome_of(child);  // a gather that has failed leaves the others to themselves
      for (const Report& report : env.take_reports()) {
        CHECK(has_letter(order, 'c'));  // kept whoever awaited it from taking the failure
        CHECK(has_letter(order, 'f'));
        CHECK(describe_end(report.exception) == "Failure third");
      }
      CHECK(task.cancelling() == (has_letter(order, 'c') ? 1 : 0));
      const int heard =
          count(end, "cancelled owner") + count(end, "Failure third") + count(end, "cancelled child");
      CHECK((heard >= 1) == (has_letter(order, 'f') || has_letter(order, 'k') || has_letter(order, 'c')));
      if (heard == 0) {
        CHECK(end == "value 3");
      }
      if (order.find_first_of("fk") == std::string::npos && has_letter(order, 'c')) {
        CHECK(end == "cancelled owner");
      }
    }
  }
}
