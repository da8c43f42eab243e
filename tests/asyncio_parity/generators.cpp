// Asynchronous generators: iterating, closing, and being dropped half-way. Mirrored by generators.py.
#include "tests/asyncio_parity/trace.hpp"

#include <weir/async_generator.hpp>
#include <weir/exceptions.hpp>

#include <chrono>
#include <optional>

using namespace parity;
using namespace std::chrono_literals;
using weir::AsyncGenerator;
using weir::Coro;
using weir::sleep;

namespace {

constexpr const char* group = "generators";

// Tells how it is left, and awaits while it leaves.
AsyncGenerator<int> count(const char* name, int end) {
  trace(name, "begins");
  std::exception_ptr error;
  try {
    for (int number = 0; number != end; ++number) {
      co_await sleep(0s);
      co_yield number;
    }
  } catch (...) {
    error = std::current_exception();
  }
  if (error) {
    trace(name, error);
    co_await sleep(0s);
    trace(name, "cleaned up");
    std::rethrow_exception(error);
  }
  trace(name, "ends");
}

// The next item, or -1 at the end.
Coro<int> following(AsyncGenerator<int>& generator) {
  const std::optional<int> item = co_await generator.next();
  co_return item.value_or(-1);
}
// aclose() to be given to outcome_of.
Coro<void> closing(AsyncGenerator<int>& generator) { co_await generator.aclose(); }

AsyncGenerator<int> fails_in_its_cleanup(bool awaits) {
  std::exception_ptr exit;
  try {
    co_yield 1;
  } catch (...) {
    exit = std::current_exception();
  }
  if (awaits) {
    co_await sleep(0s);
  }
  throw Oops("cleanup");
}

Coro<void> let_go_by() {
  for (int i = 0; i != 5; ++i) {
    co_await sleep(0s);
  }
}

}  // namespace

SCENARIO(iterated_to_the_end) {
  auto generator = count("generator", 3);
  trace("made");
  while (const auto number = co_await generator.next()) {
    trace("item", *number);
  }
  const int first = co_await following(generator);
  trace(first, co_await following(generator));
}

SCENARIO(turns_of_an_iteration) {
  constexpr auto immediate = []() -> AsyncGenerator<int> {
    for (int number = 0; number != 3; ++number) {
      co_yield number;
    }
  };
  turns(loop, 5);
  auto at_once = immediate();
  while (const auto number = co_await at_once.next()) {
    trace("immediate", *number);
  }
  auto generator = count("generator", 3);
  while (const auto number = co_await generator.next()) {
    trace("awaited", *number);
  }
}

SCENARIO(closed_half_way) {
  auto generator = count("generator", 3);
  trace(co_await following(generator));
  trace(co_await outcome_of(closing(generator)));
  trace(co_await outcome_of(closing(generator)));
  trace(co_await following(generator));
}

SCENARIO(closed_before_it_began) {
  auto generator = count("generator", 3);
  trace(co_await outcome_of(closing(generator)));
  trace(co_await following(generator));
}

SCENARIO(closed_after_its_end) {
  auto generator = count("generator", 1);
  const int first = co_await following(generator);
  trace(first, co_await following(generator));
  trace(co_await outcome_of(closing(generator)));
}

SCENARIO(an_exception_of_its_body) {
  constexpr auto failing = []() -> AsyncGenerator<int> {
    co_yield 1;
    co_await sleep(0s);
    throw Oops("body");
  };
  auto generator = failing();
  trace(co_await following(generator));
  trace(co_await outcome_of(following(generator)));
  trace(co_await outcome_of(following(generator)));
  trace(co_await outcome_of(closing(generator)));
}

SCENARIO(an_exception_of_its_cleanup) {
  auto generator = fails_in_its_cleanup(true);
  trace(co_await following(generator));
  trace(co_await outcome_of(closing(generator)));
  trace(co_await following(generator));
}

SCENARIO(swallows_the_closing) {
  constexpr auto swallowing = []() -> AsyncGenerator<int> {
    try {
      co_yield 1;
    } catch (const weir::GeneratorExit&) {
      trace("swallowed");
    }
  };
  auto generator = swallowing();
  trace(co_await following(generator));
  const std::string end = co_await outcome_of(closing(generator));
  trace(end, co_await following(generator));
}

SCENARIO(yields_while_it_is_closed) {
  constexpr auto stubborn = []() -> AsyncGenerator<int> {
    bool exiting = false;
    try {
      co_yield 1;
    } catch (const weir::GeneratorExit&) {
      exiting = true;
    }
    if (exiting) {
      trace("yields again");
      co_yield 2;
    }
  };
  auto generator = stubborn();
  trace(co_await following(generator));
  trace(co_await outcome_of(closing(generator)));
}

SCENARIO(iterated_by_two_tasks) {
  auto generator = count("generator", 3);
  auto first = loop.create_task(following(generator));
  auto second = loop.create_task(following(generator));
  const std::string first_end = co_await outcome_of<int>(first);
  trace(first_end, co_await outcome_of<int>(second));
  trace(co_await following(generator));
  co_await generator.aclose();
}

SCENARIO(closed_while_it_is_iterated) {
  auto generator = count("generator", 3);
  auto task = loop.create_task(following(generator));
  co_await sleep(0s);
  trace(co_await outcome_of(closing(generator)));
  trace(co_await outcome_of<int>(task));
  co_await generator.aclose();
}

SCENARIO(cancelled_while_it_is_iterated) {
  auto generator = count("generator", 3);
  constexpr auto iterate = [](AsyncGenerator<int>& of) -> Coro<void> {
    while (const auto number = co_await of.next()) {
      trace("item", *number);
    }
  };
  auto task = loop.create_task(iterate(generator));
  co_await sleep(0s);
  co_await sleep(0s);
  task.cancel("why");
  trace(co_await outcome_of<void>(task));
  trace(co_await following(generator));
}

SCENARIO(dropped_half_way) {
  constexpr auto early_break = []() -> Coro<void> {
    {
      auto generator = count("generator", 3);
      while (const auto number = co_await generator.next()) {
        trace("item", *number);
        break;
      }
    }
    trace("left the iteration");
  };
  co_await early_break();
  co_await let_go_by();
  trace("end");
}

SCENARIO(dropped_with_a_failing_cleanup) {
  {
    auto generator = fails_in_its_cleanup(false);
    trace(co_await following(generator));
  }
  co_await let_go_by();
  trace("end");
}

SCENARIO(dropped_before_it_began) {
  {
    auto generator = count("generator", 3);
  }
  co_await let_go_by();
  trace("end");
}

SCENARIO(closed_by_the_loop) {
  auto generator = count("generator", 3);
  trace(co_await following(generator));
  trace(co_await outcome_of(loop.shutdown_asyncgens()));
  trace(co_await following(generator));
}

SCENARIO(closed_by_the_loop_with_a_failing_cleanup) {
  auto generator = fails_in_its_cleanup(false);
  trace(co_await following(generator));
  trace(co_await outcome_of(loop.shutdown_asyncgens()));
  trace(co_await following(generator));
}

SCENARIO(one_inside_another) {
  constexpr auto outer = [](AsyncGenerator<int>& inner) -> AsyncGenerator<int> {
    std::exception_ptr error;
    try {
      while (const auto number = co_await inner.next()) {
        co_yield 10 * *number;
      }
    } catch (...) {
      error = std::current_exception();
    }
    trace("outer leaves");
    co_await inner.aclose();
    if (error) {
      std::rethrow_exception(error);
    }
  };
  auto inner = count("inner", 5);
  auto generator = outer(inner);
  const int first = co_await following(generator);
  trace(first, co_await following(generator));
  co_await generator.aclose();
  trace(co_await following(inner));
}
