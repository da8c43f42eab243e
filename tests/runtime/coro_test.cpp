// Coroutines: lazy, move-only, awaited once; values, references, exceptions, and when what is destroyed.
#include "tests/support/weir_test.hpp"

#include <concepts>
#include <coroutine>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using Marks = std::vector<std::string>;

// Tells when it is destroyed; a moved-from one tells nothing.
class Mark {
 public:
  Mark(Marks& marks, std::string name) : marks_(&marks), name_(std::move(name)) {}
  Mark(Mark&& other) noexcept : marks_(std::exchange(other.marks_, nullptr)), name_(other.name_) {}
  Mark& operator=(Mark&&) = delete;
  ~Mark() {
    if (marks_ != nullptr) {
      marks_->push_back(name_);
    }
  }

 private:
  Marks* marks_;
  std::string name_;
};

Coro<int> give(int value) { co_return value; }
Coro<void> note(Marks& marks, std::string text) {
  marks.push_back(std::move(text));
  co_return;
}

static_assert(!std::is_copy_constructible_v<Coro<int>>);
static_assert(!std::is_copy_assignable_v<Coro<int>>);
static_assert(std::is_nothrow_move_constructible_v<Coro<int>>);
static_assert(std::is_nothrow_move_assignable_v<Coro<int>>);
static_assert(!std::is_default_constructible_v<Coro<int>>);

// What `co_await` takes, asked of the promise.
template <class Awaitable>
concept CanAwait = requires(Coro<void>::promise_type& promise, Awaitable&& awaitable) {
  promise.await_transform(std::forward<Awaitable>(awaitable));
};
static_assert(CanAwait<Coro<int>>);
static_assert(CanAwait<Coro<int>&>);
static_assert(!CanAwait<const Coro<int>&>);
static_assert(CanAwait<Future<int>>);
static_assert(CanAwait<const Future<int>&>);
static_assert(CanAwait<Task<void>&>);
static_assert(CanAwait<detail::SleepAwaiter>);
static_assert(!CanAwait<std::suspend_always>);
static_assert(!CanAwait<int>);

// `co_return value` converts as `return value` does.
template <class T, class Value>
concept CanReturn = requires(typename Coro<T>::promise_type& promise, Value value) {
  promise.return_value(std::move(value));
};
static_assert(CanReturn<std::string, const char*>);
static_assert(CanReturn<std::unique_ptr<const int>, std::unique_ptr<int>>);
static_assert(!CanReturn<std::vector<int>, int>);
static_assert(!CanReturn<std::unique_ptr<int>, int*>);

// Option structs are trivially destructible, because of the trap below.
static_assert(std::is_trivially_destructible_v<TaskOptions>);
static_assert(std::is_trivially_destructible_v<CallOptions>);

}  // namespace

WEIR_TEST("Coro: nothing runs before it is awaited") {
  Marks marks;
  Coro<void> coro = note(marks, "ran");
  CHECK(static_cast<bool>(coro));
  co_await sleep(Duration::zero());
  CHECK(marks.empty());
  co_await std::move(coro);
  CHECK(marks == Marks{"ran"});
  // NOLINTNEXTLINE(bugprone-use-after-move)
  CHECK_FALSE(static_cast<bool>(coro));
}

WEIR_TEST("Coro: one that is never awaited is destroyed with its arguments") {
  auto argument = std::make_shared<int>(1);
  auto hold = [](std::shared_ptr<int> held) -> Coro<int> { co_return *held; };
  {
    Coro<int> dropped = hold(argument);
    CHECK(argument.use_count() == 2);
    // Assigning destroys what was there.
    dropped = give(1);
    CHECK(argument.use_count() == 1);
    dropped = hold(argument);
    CHECK(argument.use_count() == 2);
  }
  CHECK(argument.use_count() == 1);
  loop.set_debug(true);
  {
    const Coro<int> reported = hold(argument);
  }
  loop.set_debug(false);
  CHECK(env.expect_log("was never awaited").find("coro_test.cpp") != std::string::npos);
  CHECK(argument.use_count() == 1);
  co_return;
}

WEIR_TEST("Coro: a coroutine may be moved, stored and awaited elsewhere") {
  std::vector<Coro<int>> stored;
  for (int i = 0; i != 10; ++i) {
    stored.push_back(give(i));
  }
  auto sum = [](std::vector<Coro<int>> parts) -> Coro<int> {
    int total = 0;
    for (Coro<int>& part : parts) {
      total += co_await part;
    }
    co_return total;
  };
  CHECK(co_await sum(std::move(stored)) == 45);
  Coro<int> one = give(1);
  Coro<int> two = give(2);
  one.swap(two);
  CHECK(co_await one == 2);
  CHECK(co_await two == 1);
}

WEIR_TEST("Coro: awaiting a coroutine a second time is a usage error") {
  Coro<int> coro = give(3);
  CHECK(co_await coro == 3);
  std::string text;
  try {
    co_await coro;
  } catch (const RuntimeError& error) {
    text = error.what();
  }
  CHECK(text.find("already awaited") != std::string::npos);
  Coro<int> source = give(4);
  Coro<int> target = std::move(source);
  bool refused = false;
  try {
    // NOLINTNEXTLINE(bugprone-use-after-move)
    co_await std::move(source);
  } catch (const RuntimeError&) {
    refused = true;
  }
  CHECK(refused);
  CHECK(co_await target == 4);
}

WEIR_TEST("Coro: void, move-only, converted and default-made values") {
  auto nothing = []() -> Coro<void> { co_return; };
  co_await nothing();
  auto falls_off = [](Marks& marks) -> Coro<void> {
    marks.push_back("end");
    co_await sleep(Duration::zero());
  };
  Marks marks;
  co_await falls_off(marks);
  CHECK(marks.size() == 1);
  auto owner = []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(6); };
  const std::unique_ptr<int> moved = co_await owner();
  CHECK(*moved == 6);
  auto text = []() -> Coro<std::string> { co_return "text"; };
  CHECK((co_await text()).size() == 4);
  auto empty = []() -> Coro<std::vector<int>> { co_return {}; };
  CHECK((co_await empty()).empty());
}

WEIR_TEST("Coro: a reference is a reference") {
  int number = 1;
  auto refer = [](int& target) -> Coro<int&> {
    co_await sleep(Duration::zero());
    co_return target;
  };
  int& reference = co_await refer(number);
  CHECK(&reference == &number);
  (co_await refer(number)) = 5;
  CHECK(number == 5);
  auto constant = [](const std::string& target) -> Coro<const std::string&> { co_return target; };
  const std::string text = "text";
  const std::string& same = co_await constant(text);
  CHECK(&same == &text);
  auto fails = [](int& target) -> Coro<int&> {
    throw Failure("no reference");
    co_return target;
  };
  bool thrown = false;
  try {
    co_await fails(number);
  } catch (const Failure&) {
    thrown = true;
  }
  CHECK(thrown);
}

WEIR_TEST("Coro: one travels through many levels, each unwound in its turn") {
  auto level = [](int depth, Marks& marks, auto& self) -> Coro<int> {
    const Mark local(marks, std::to_string(depth));
    if (depth == 0) {
      co_await sleep(Duration::zero());
      throw Failure("from the bottom");
    }
    co_return co_await self(depth - 1, marks, self);
  };
  Marks marks;
  std::string text;
  try {
    co_await level(5, marks, level);
  } catch (const Failure& failure) {
    text = failure.what();
    // What unwound is destroyed by now.
    CHECK(marks == Marks{"0", "1", "2", "3", "4", "5"});
  }
  CHECK(text == "from the bottom");
}

WEIR_TEST("Coro: may be caught, replaced and rethrown on the way; anything can be thrown") {
  auto bottom = []() -> Coro<int> {
    throw 17;
    co_return 0;
  };
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
  auto middle = [bottom]() -> Coro<int> {
    int code = 0;
    try {
      co_return co_await bottom();
    } catch (int thrown) {
      code = thrown;
    }
    co_await sleep(Duration::zero());
    throw Failure("code " + std::to_string(code));
  };
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
  auto top = [middle]() -> Coro<int> {
    try {
      co_return co_await middle();
    } catch (...) {
      throw;
    }
  };
  std::string text;
  try {
    co_await top();
  } catch (const Failure& failure) {
    text = failure.what();
  }
  CHECK(text == "code 17");
  // Nothing of it is left being handled.
  CHECK(std::current_exception() == nullptr);
}

WEIR_TEST("Coro: the object is the one that was thrown, and destroyed once") {
  struct Counted {
    explicit Counted(int* alive) : alive(alive) { ++*alive; }
    Counted(const Counted& other) : alive(other.alive) { ++*alive; }
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --*alive; }
    int* alive;
  };
  int alive = 0;
  auto thrower = [](int* count) -> Coro<void> {
    co_await sleep(Duration::zero());
    throw Counted(count);
  };
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
  auto through = [thrower](int* count) -> Coro<void> { co_await thrower(count); };
  for (int i = 0; i != 2; ++i) {
    try {
      if (i == 0) {
        co_await through(&alive);
      } else {
        co_await loop.create_task(through(&alive));
      }
      FAIL_CHECK("not thrown");
    } catch (const Counted&) {
      CHECK(alive == 1);
    }
  }
  CHECK(alive == 0);
}

WEIR_TEST("Coro: locals go at the end of the body, parameters with the frame") {
  Marks marks;
  auto child = [](Mark parameter, Marks& marks) -> Coro<Mark> {
    const Mark first(marks, "first local");
    const Mark second(marks, "second local");
    co_await sleep(Duration::zero());
    marks.push_back("body");
    static_cast<void>(parameter);
    co_return Mark(marks, "value");
  };
  {
    const Mark value = co_await child(Mark(marks, "parameter"), marks);
    marks.push_back("awaited");
  }
  CHECK(marks == Marks{"body", "second local", "first local", "parameter", "awaited", "value"});
}

WEIR_TEST("Coro: of a task: everything of the frame is gone before anyone is woken") {
  Marks marks;
  auto body = [](Mark, Marks& marks) -> Coro<void> {
    const Mark local(marks, "local");
    co_await sleep(Duration::zero());
  };
  Task<void> task = loop.create_task(body(Mark(marks, "parameter"), marks));
  task.add_done_callback([&] { marks.push_back("callback"); });
  co_await task;
  marks.push_back("awaited");
  CHECK(marks == Marks{"local", "parameter", "callback", "awaited"});
}

WEIR_TEST("Coro: a cancelled chain unwinds from the inside") {
  Marks marks;
  auto level = [](int depth, Marks& marks, auto& self) -> Coro<void> {
    const Mark local(marks, std::to_string(depth));
    if (depth == 0) {
      co_await get_running_loop().create_future<void>();
    } else {
      co_await self(depth - 1, marks, self);
    }
  };
  Task<void> task = loop.create_task(level(3, marks, level));
  co_await sleep(Duration::zero());
  CHECK(marks.empty());
  task.cancel();
  co_await until([&] { return task.done(); });
  CHECK(marks == Marks{"0", "1", "2", "3"});
}

WEIR_TEST("Coro: the places that a task stands at, innermost first") {
  // NOLINTBEGIN(cppcoreguidelines-avoid-capturing-lambda-coroutines)
  auto inner = [](Future<void> gate) -> Coro<void> { co_await gate; };
  auto outer = [inner](Future<void> gate) -> Coro<void> { co_await inner(gate); };
  // NOLINTEND(cppcoreguidelines-avoid-capturing-lambda-coroutines)
  const unsigned line = __LINE__ - 3;
  auto gate = loop.create_future<void>();
  Coro<void> coro = outer(gate);
  CHECK(coro.where().line() == line + 1);
  Task<void> task = loop.create_task(std::move(coro));
  // NOLINTNEXTLINE(bugprone-use-after-move)
  CHECK(coro.where().line() == 0);
  co_await sleep(Duration::zero());
  const std::vector<std::source_location> stack = task.get_stack();
  REQUIRE(stack.size() == 2);
  CHECK(stack[0].line() == line);
  CHECK(stack[1].line() == line + 1);
  CHECK(task.task().awaiting() == "future");
  CHECK(task.task().get_coro() != nullptr);
  gate.set_result();
  co_await task;
  CHECK(task.get_stack().empty());
  CHECK(task.task().awaiting().empty());
  CHECK(task.task().get_coro() == nullptr);
}

namespace {

// An aggregate with a member that is not trivial, as option structs must not be.
struct Tally {
  int made = 0;
  int destroyed = 0;
};
class Member {
 public:
  explicit Member(Tally* tally) : tally_(tally) { ++tally_->made; }
  Member(const Member& other) : tally_(other.tally_) { ++tally_->made; }
  Member& operator=(const Member&) = delete;
  ~Member() { ++tally_->destroyed; }

 private:
  Tally* tally_;
};
struct BadOptions {
  Member member;
  int number = 0;
};
struct GoodOptions {
  Tally* tally;
  int number = 0;
};

Coro<int> use_bad(BadOptions options) { co_return options.number; }
Coro<int> use_good(GoodOptions options) { co_return options.number; }

}  // namespace

// API.md's conventions: option structs are trivially destructible, because g++ 12 destroys an aggregate
// temporary inside a co_await expression twice. Here is the trap, and the two ways around it.
WEIR_TEST("Coro: aggregate temporaries inside a co_await expression") {
  Tally trap;
  CHECK(co_await use_bad({.member = Member(&trap), .number = 1}) == 1);
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ <= 12
  CHECK(trap.destroyed == trap.made + 1);
#else
  CHECK(trap.destroyed == trap.made);
#endif

  Tally named;
  {
    const BadOptions options{.member = Member(&named), .number = 2};
    CHECK(co_await use_bad(options) == 2);
  }
  CHECK(named.destroyed == named.made);

  Tally separate;
  Coro<int> coro = use_bad({.member = Member(&separate), .number = 3});
  CHECK(co_await coro == 3);
  CHECK(separate.destroyed == separate.made);

  Tally unused;
  CHECK(co_await use_good({.tally = &unused, .number = 4}) == 4);
  CHECK(unused.destroyed == 0);
}
