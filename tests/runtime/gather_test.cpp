// WAIT-007 to 015 and 017: gather and shield.
#include "tests/runtime/outcome.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/gather.hpp>
#include <weir/shield.hpp>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

Coro<void> nothing() { co_return; }
Coro<std::unique_ptr<int>> boxed(int value) { co_return std::make_unique<int>(value); }

std::vector<Coro<int>> waiting_for(const std::vector<Future<int>>& gates) {
  std::vector<Coro<int>> coroutines;
  for (const auto& gate : gates) {
    coroutines.push_back(get(gate));
  }
  return coroutines;
}

}  // namespace

WEIR_TEST("WAIT-007 gather gives the results in the order of its arguments") {
  auto gates = std::vector{loop.create_future<int>(), loop.create_future<int>(), loop.create_future<int>()};
  const auto all = gather(waiting_for(gates));
  const auto three = gather(gates[2], get(gates[0]), create_task(get(gates[1])), nothing(), sleep(0s, 5));
  for (const int i : {2, 0, 1}) {
    co_await sleep(0s);
    CHECK_FALSE(all.done());
    CHECK_FALSE(three.done());
    gates[static_cast<std::size_t>(i)].set_result(i);
  }
  const std::vector<int> values = co_await all;
  CHECK(values == std::vector{0, 1, 2});
  const auto [third, first, second, empty, value] = co_await three;
  CHECK(std::tuple(first, second, third, value) == std::tuple(0, 1, 2, 5));
  static_cast<void>(empty);

  std::vector<Coro<void>> several;
  several.push_back(nothing());
  several.push_back(nothing());
  co_await gather(std::move(several));
}

WEIR_TEST("WAIT-007 coroutines are started by the call; what was handed over is moved, the rest copied") {
  bool ran = false;
  const auto run = [](bool& flag) -> Coro<void> {
    flag = true;
    co_return;
  };
  const auto running = gather(run(ran), boxed(1));
  co_await sleep(0s);
  CHECK(ran);
  CHECK(*std::get<1>(co_await gather(boxed(1), boxed(2))) == 2);

  auto kept = loop.create_future<std::string>();
  kept.set_result("a text that is too long to lie in the object itself");
  auto given = kept;
  const auto [copied, same] = co_await gather(kept, given);
  CHECK(copied == same);
  CHECK(kept.result() == copied);
  std::vector<Coro<std::unique_ptr<int>>> boxes;
  boxes.push_back(boxed(3));
  const auto opened = co_await gather(std::move(boxes));
  CHECK(*opened.at(0) == 3);
}

WEIR_TEST("WAIT-008 the first failure is that of the gather, at once; the others go on") {
  auto gates = std::vector{loop.create_future<int>(), loop.create_future<int>()};
  auto late = create_task(get(gates[1]));
  const auto all = gather(fail_after(gates[0], "first"), late, fail_after(gates[1], "unheard"));
  co_await sleep(0s);
  gates[0].set_result(0);
  CHECK(co_await outcome_of(all) == "Failure first");
  CHECK_FALSE(late.done());
  gates[1].set_result(1);
  CHECK(co_await late == 1);  // and nobody is told of the second failure
}

WEIR_TEST("WAIT-008 one that has failed already fails it, too") {
  auto failed = loop.create_future<int>();
  failed.set_exception(Failure("before"));
  auto pending = loop.create_future<int>();
  CHECK(co_await outcome_of(gather(failed, pending)) == "Failure before");
  pending.set_exception(Failure("unheard"));
}

WEIR_TEST("WAIT-009 gather(return_exceptions) gives the futures, all of them done") {
  auto gate = loop.create_future<int>();
  auto cancelled = create_task(get(gate));
  const auto all = gather(return_exceptions, fail("a"), cancelled, give(3), nothing());
  co_await sleep(0s);
  cancelled.cancel();
  co_await sleep(0s);
  const auto [a, b, c, d] = co_await all;
  CHECK(end_of(a) == "Failure a");
  CHECK(end_of(b) == "cancelled");
  CHECK(end_of(c) == "value 3");
  CHECK(end_of(d) == "value");

  std::vector<Coro<int>> several;
  several.push_back(fail("silent"));  // who asks for all of them may ignore some
  several.push_back(give(1));
  const auto two = co_await gather(return_exceptions, std::move(several));
  CHECK(end_of(two.at(1)) == "value 1");
}

WEIR_TEST("WAIT-010 cancelling a gather cancels its children, and it ends when they have ended") {
  auto gate = loop.create_future<int>();
  auto end = loop.create_future<int>();
  auto done = create_task(give(1));
  auto slow = create_task(slow_to_end(gate, end));
  auto quick = create_task(get(gate));
  auto all = gather(done, slow, quick);
  auto awaiting = create_task(outcome_of(all));
  co_await sleep(0s);
  co_await sleep(0s);
  SUBCASE("by itself") { CHECK(all.cancel("enough")); }
  SUBCASE("by whoever awaits it") { CHECK(awaiting.cancel("enough")); }
  CHECK(co_await outcome_of(quick) == "cancelled enough");
  co_await sleep(0s);
  CHECK_FALSE(all.done());
  CHECK_FALSE(awaiting.done());
  end.set_result(0);
  CHECK(co_await awaiting == "cancelled enough");
  CHECK(all.cancelled());
  CHECK(slow.cancelled());
  CHECK(end_of(done) == "value 1");
  CHECK_FALSE(all.cancel());
}

WEIR_TEST("WAIT-010 a child that goes on in spite of it; one that fails of it; futures that end at once") {
  auto gate = loop.create_future<int>();
  auto all = gather(stubborn(gate, 1));
  co_await sleep(0s);
  all.cancel("enough");
  CHECK(co_await outcome_of(all) == "cancelled enough");

  gate = loop.create_future<int>();
  auto failing = gather(get(gate), fail_when_cancelled(gate, "worse"));
  co_await sleep(0s);
  failing.cancel();
  CHECK(co_await outcome_of(failing) == "Failure worse");

  auto futures = std::vector{loop.create_future<int>(), loop.create_future<int>()};
  auto plain = gather(futures);
  CHECK(plain.cancel("now"));
  CHECK(end_of(plain) == "cancelled now");
  CHECK(futures[1].cancelled());
}

WEIR_TEST("WAIT-010 one that fails of it does not end it before the others have ended") {
  auto gate = loop.create_future<int>();
  auto end = loop.create_future<int>();
  auto all = gather(fail_when_cancelled(gate, "worse"), slow_to_end(gate, end));
  co_await sleep(0s);
  all.cancel();
  co_await sleep(0s);
  co_await sleep(0s);
  CHECK_FALSE(all.done());
  end.set_result(0);
  CHECK(co_await outcome_of(all) == "Failure worse");
}

WEIR_TEST("WAIT-010 every cancel() reaches the children, and can be taken back by them") {
  auto first = loop.create_future<int>();
  auto second = loop.create_future<int>();
  const auto twice = [](Future<int> one, Future<int> two) -> Coro<int> {
    try {
      co_await one;
    } catch (const CancelledError&) {
    }
    co_return co_await two;
  };
  auto awaiting = create_task(outcome_of(gather(twice(first, second))));
  co_await sleep(0s);
  co_await sleep(0s);
  CHECK(awaiting.cancel("one"));
  co_await sleep(0s);
  CHECK_FALSE(awaiting.done());
  CHECK(awaiting.cancel("two"));
  CHECK(co_await awaiting == "cancelled two");
  CHECK(second.cancelled());
}

WEIR_TEST("WAIT-011 a cancelled child is a failure with its cancellation") {
  auto gate = loop.create_future<int>();
  auto child = create_task(get(gate));
  auto other = loop.create_future<int>();
  auto all = gather(child, other);
  co_await sleep(0s);
  child.cancel("alone");
  CHECK(co_await outcome_of(all) == "cancelled alone");
  CHECK_FALSE(all.cancelled());  // nobody has cancelled the gather
  CHECK_FALSE(other.done());
}

WEIR_TEST("WAIT-012 gather of nothing is done") {
  CHECK(gather().done());
  CHECK(co_await gather() == std::tuple<>());
  CHECK(gather(std::vector<Future<int>>()).result().empty());
  CHECK(gather(return_exceptions, std::vector<Future<int>>()).done());
}

WEIR_TEST("WAIT-013 gather of two loops is refused, and starts nothing") {
  EventLoop other;
  auto here = loop.create_future<int>();
  auto there = other.create_future<int>();
  bool ran = false;
  const auto run = [](bool& flag) -> Coro<void> {
    flag = true;
    co_return;
  };
  CHECK_THROWS_AS(gather(run(ran), here, there), std::invalid_argument);
  CHECK_THROWS_AS(gather(std::vector{here, there}), std::invalid_argument);
  co_await sleep(0s);
  CHECK_FALSE(ran);
  CHECK(gather(there).get_loop().is_running() == false);
}

TEST_CASE("WAIT-013 gather of coroutines wants a running loop") {
  CHECK_THROWS_AS(gather(give(1)), RuntimeError);
}

WEIR_TEST("WAIT-007 a gather has no set_result, and one that is dropped cancels nothing") {
  auto gate = loop.create_future<int>();
  auto all = gather(gate);
  CHECK_THROWS_WITH_AS(all.set_result(std::tuple(1)),
                       "set_result: a gather does not support it; its children give the result",
                       RuntimeError);
  CHECK_THROWS_AS(all.set_exception(Failure("")), RuntimeError);
  all = gather(loop.create_future<int>());
  CHECK_FALSE(gate.done());
  gate.set_result(1);
  co_return;
}

WEIR_TEST("WAIT-014 shield passes value and failure through, and keeps a cancellation from the inner one") {
  CHECK(co_await shield(give(1)) == 1);
  co_await shield(nothing());
  CHECK(**std::make_unique<std::unique_ptr<int>>(co_await shield(boxed(2))) == 2);
  CHECK(co_await outcome_of(shield(fail("inner"))) == "Failure inner");

  auto gate = loop.create_future<int>();
  auto inner = create_task(get(gate));
  auto awaiting = create_task(outcome_of(shield(inner)));
  co_await sleep(0s);
  awaiting.cancel("outer");
  CHECK(co_await awaiting == "cancelled outer");
  CHECK_FALSE(inner.done());
  gate.set_result(3);
  CHECK(co_await inner == 3);
}

WEIR_TEST("WAIT-014 a failure of the inner one after that is reported, unless somebody asks") {
  auto gate = loop.create_future<int>();
  auto outer = shield(fail_after(gate, "late"));
  co_await sleep(0s);
  outer.cancel();
  gate.set_result(0);
  co_await sleep(0s);
  co_await sleep(0s);
  co_await sleep(0s);
  env.expect_report("Task exception was never retrieved");

  gate = loop.create_future<int>();
  auto inner = create_task(fail_after(gate, "asked for"));
  outer = shield(inner);
  co_await sleep(0s);
  outer.cancel();
  gate.set_result(0);
  CHECK(co_await outcome_of(inner) == "Failure asked for");
}

WEIR_TEST("WAIT-015 a cancelled inner one cancels the outer") {
  auto gate = loop.create_future<int>();
  auto inner = create_task(get(gate));
  auto outer = shield(inner);
  co_await sleep(0s);
  inner.cancel();
  CHECK(co_await outcome_of(outer) == "cancelled");
  CHECK(outer.cancelled());
}

WEIR_TEST("WAIT-017 the same future given twice to gather is run once and stands in both places") {
  auto task = create_task(give(4));
  CHECK(co_await gather(task, task) == std::tuple(4, 4));
  const std::vector tasks{task, task};
  const std::vector<int> values = co_await gather(tasks);
  CHECK(values == std::vector{4, 4});
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a loop that is closed while a gather and a shield are awaited") {
  const auto start = [](Future<int> gate) -> Coro<void> {
    const auto wait_all = [](Future<int> of) -> Coro<void> { co_await gather(get(of), of, shield(of)); };
    create_task(wait_all(gate));
    create_task(wait_all(gate));
    co_await sleep(0s);
  };
  auto gate = loop.create_future<int>();
  auto kept = gather(gate);
  loop.run_until_complete(start(gate));
  drain(loop);
  loop.close();
  CHECK(env.take_reports().size() == 4);  // of tasks that were pending
  CHECK_FALSE(kept.cancel());
}
