// Context and ContextVar by themselves, as Python's contextvars has them.
#include "tests/support/weir_test.hpp"

#include <weir/context.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace weir;

namespace {

ContextVar<int> plain("plain");
ContextVar<int> with_default("with_default", 10);
ContextVar<std::string> text("text");

static_assert(!std::is_copy_constructible_v<ContextVar<int>>, "a variable is one object");
static_assert(!std::is_copy_constructible_v<ContextVar<int>::Token>, "a token is used once");

// Each test runs in a context of its own, so that the thread's stays empty.
struct FreshContext {
  Context context;
  template <class F>
  void run(F&& body) {
    context.run(std::forward<F>(body));
  }
};

}  // namespace

TEST_CASE_FIXTURE(FreshContext, "ContextVar get: value, default, fallback, none") {
  run([] {
    CHECK(plain.name() == "plain");
    CHECK_THROWS_AS(plain.get(), std::out_of_range);
    try {
      plain.get();
    } catch (const std::out_of_range& error) {
      CHECK(std::string(error.what()).find("'plain'") != std::string::npos);
    }
    CHECK(plain.get(5) == 5);
    CHECK(with_default.get() == 10);
    CHECK(with_default.get(6) == 6);  // as in Python: the argument goes before the variable's own default
    plain.set(1);
    with_default.set(2);
    CHECK(plain.get() == 1);
    CHECK(plain.get(5) == 1);
    CHECK(with_default.get() == 2);
    CHECK(with_default.get(6) == 2);
    CHECK(copy_context().size() == 2);
  });
  CHECK(context.size() == 2);
  CHECK(plain.get_in(context) == 1);
  CHECK(!text.get_in(context).has_value());
  CHECK(!with_default.get_in(copy_context()).has_value());
}

TEST_CASE_FIXTURE(FreshContext, "ContextVar reset puts back what set replaced") {
  run([] {
    auto first = plain.set(1);
    auto second = plain.set(2);
    plain.reset(std::move(second));
    CHECK(plain.get() == 1);
    plain.reset(std::move(first));
    CHECK_THROWS_AS(plain.get(), std::out_of_range);
    CHECK(copy_context().size() == 0);
    auto third = with_default.set(3);
    with_default.reset(std::move(third));
    CHECK(with_default.get() == 10);
  });
}

TEST_CASE_FIXTURE(FreshContext, "ContextVar reset refuses another variable's token and a used one") {
  run([] {
    static ContextVar<int> twin("plain");
    auto token = plain.set(1);
    CHECK_THROWS_AS(twin.reset(std::move(token)), std::invalid_argument);
    CHECK(plain.get() == 1);
    auto used = plain.set(2);
    plain.reset(std::move(used));
    plain.set(3);
    CHECK_THROWS_AS(plain.reset(std::move(used)), std::invalid_argument);  // NOLINT: that is the point
    CHECK(plain.get() == 3);
  });
}

TEST_CASE_FIXTURE(FreshContext, "ContextVar variables with one name are two variables") {
  static ContextVar<int> twin("plain");
  run([] {
    plain.set(1);
    twin.set(2);
    CHECK(plain.get() == 1);
    CHECK(twin.get() == 2);
  });
}

TEST_CASE_FIXTURE(FreshContext, "ContextVar many variables, set and reset in any order") {
  run([] {
    std::vector<std::unique_ptr<ContextVar<std::size_t>>> variables;
    std::vector<ContextVar<std::size_t>::Token> tokens;
    for (std::size_t i = 0; i != 50; ++i) {
      variables.push_back(std::make_unique<ContextVar<std::size_t>>("v" + std::to_string(i)));
    }
    for (std::size_t i = 50; i-- > 0;) {
      tokens.push_back(variables[i]->set(i));
    }
    CHECK(copy_context().size() == 50);
    for (std::size_t i = 0; i < 50; i += 2) {
      variables[i]->reset(std::move(tokens[49 - i]));
    }
    CHECK(copy_context().size() == 25);
    for (std::size_t i = 0; i != 50; ++i) {
      CHECK(variables[i]->get(1000) == (i % 2 == 0 ? 1000 : i));
    }
  });
}

TEST_CASE_FIXTURE(FreshContext, "Context copy is independent, a copied handle is the same context") {
  run([] { plain.set(1); });
  Context copy = context.copy();
  Context handle = context;
  CHECK(handle == context);
  CHECK_FALSE(copy == context);
  run([] { plain.set(2); });
  CHECK(plain.get_in(copy) == 1);
  CHECK(plain.get_in(handle) == 2);
  copy.run([] { plain.set(3); });
  CHECK(plain.get_in(context) == 2);
}

TEST_CASE("Context a handle copied before anything was set shares what is set later") {
  Context original;
  Context handle = original;
  original.run([] { plain.set(1); });
  CHECK(plain.get_in(handle) == 1);
  handle.run([] { plain.set(2); });
  CHECK(plain.get_in(original) == 2);
  CHECK(handle == original);
  const Context stranger;
  CHECK_FALSE(stranger == Context());
  CHECK_FALSE(stranger == original);
  CHECK(stranger == stranger);  // NOLINT
}

TEST_CASE("Context assignment and moves") {
  Context a;
  a.run([] { plain.set(1); });
  Context b;
  b = a;
  CHECK(b == a);
  Context moved = std::move(b);
  CHECK(moved == a);
  CHECK(moved.size() == 1);
  moved = Context();
  CHECK(moved.size() == 0);
  CHECK(a.size() == 1);
  Context& self = a;
  a = self;
  CHECK(plain.get_in(a) == 1);
}

TEST_CASE_FIXTURE(FreshContext,
                  "Context run gives the function's value and leaves the context when it throws") {
  CHECK(context.run([] { return 7; }) == 7);
  int object = 0;
  static_assert(std::is_same_v<decltype(context.run([&]() -> int& { return object; })), int&>);
  CHECK(&context.run([&]() -> int& { return object; }) == &object);
  CHECK_THROWS_AS(context.run([] {
    plain.set(1);
    throw std::runtime_error("out");
  }),
                  std::runtime_error);
  CHECK(plain.get(0) == 0);
  CHECK(plain.get_in(context) == 1);
}

TEST_CASE_FIXTURE(FreshContext, "Context run nests") {
  Context inner;
  run([&] {
    plain.set(1);
    inner.run([] {
      CHECK(plain.get(0) == 0);
      plain.set(2);
    });
    CHECK(plain.get() == 1);
  });
  CHECK(plain.get_in(inner) == 2);
}

TEST_CASE("Context a thread has one of its own, empty at first") {
  plain.set(1);
  int seen = -1;
  int seen_after = -1;
  std::thread([&] {
    seen = plain.get(0);
    plain.set(2);
    seen_after = plain.get(0);
  }).join();
  CHECK(seen == 0);
  CHECK(seen_after == 2);
  CHECK(plain.get() == 1);
  // Back to empty for the other tests.
  detail::current_context() = Context();
  CHECK(copy_context().size() == 0);
}

namespace {

// Counts its copies.
struct Counted {
  static inline int copies = 0;
  int number = 0;
  explicit Counted(int n) : number(n) {}
  Counted(const Counted& from) : number(from.number) { ++copies; }
  Counted(Counted&&) = default;
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) = default;
};

}  // namespace

TEST_CASE_FIXTURE(FreshContext, "Context copy copies no value, cross_thread_copy clones each") {
  static ContextVar<Counted> counted("counted");
  run([] { counted.set(Counted(1)); });
  Counted::copies = 0;
  const Context near = context.copy();
  CHECK(Counted::copies == 0);
  const Context far = context.cross_thread_copy();
  CHECK(Counted::copies == 1);
  CHECK(counted.get_in(near)->number == 1);
  CHECK(counted.get_in(far)->number == 1);
  CHECK(Context().cross_thread_copy().size() == 0);
}
