// The ready queue by itself, against a plain queue.
#include <doctest/doctest.h>

#include <weir/detail/ready_queue.hpp>

#include <cstdint>
#include <deque>
#include <random>
#include <type_traits>

using weir::detail::ReadyAction;
using weir::detail::ReadyItem;
using weir::detail::ReadyQueue;

static_assert(std::is_trivially_copyable_v<ReadyItem>);

namespace {

void nothing(void*, std::uintptr_t, std::uintptr_t, ReadyAction) {}

struct Model {
  std::uint64_t sequence;
  std::uintptr_t first;
};

}  // namespace

TEST_CASE("ready queue: first in, first out, and found by number while queued") {
  std::mt19937 random(20);  // NOLINT: the same run every time
  ReadyQueue queue;
  std::deque<Model> model;
  std::uint64_t pushed = 0;
  std::uint64_t popped = 0;
  // Phases of growing and shrinking, so that the ring wraps at every fill and grows while wrapped.
  for (int step = 0; step != 200'000; ++step) {
    const bool growing = step / 5'000 % 2 == 0;
    if (random() % 100 < (growing ? 60U : 40U)) {
      const std::uint64_t expected = queue.next_sequence();
      const std::uint64_t sequence = queue.push(&nothing, &queue, pushed * 3, pushed * 5);
      REQUIRE(sequence == expected);
      REQUIRE(sequence == pushed);
      model.push_back({sequence, pushed * 3});
      ++pushed;
    } else if (!model.empty()) {
      const ReadyItem item = queue.pop();
      const bool same_function = item.function == &nothing;
      REQUIRE(same_function);
      REQUIRE(item.object == &queue);
      REQUIRE(item.words[0] == model.front().first);
      REQUIRE(item.words[1] == popped * 5);
      REQUIRE(queue.find(model.front().sequence) == nullptr);
      model.pop_front();
      ++popped;
    }
    REQUIRE(queue.size() == model.size());
    REQUIRE(queue.empty() == model.empty());
    if (!model.empty()) {
      const Model& any = model[random() % model.size()];
      ReadyItem* found = queue.find(any.sequence);
      REQUIRE(found != nullptr);
      REQUIRE(found->words[0] == any.first);
    }
    REQUIRE(queue.find(pushed) == nullptr);  // not pushed yet
    REQUIRE(queue.find(pushed + 7) == nullptr);
    if (popped != 0) {
      REQUIRE(queue.find(random() % popped) == nullptr);  // gone, whatever lies in its place now
    }
  }
  CHECK(popped > 50'000);
}

TEST_CASE("ready queue: what is changed through find() is what pop() gives") {
  ReadyQueue queue;
  const std::uint64_t first = queue.push(&nothing, nullptr, 1);
  const std::uint64_t second = queue.push(&nothing, nullptr, 2);
  queue.find(second)->words[0] = 20;
  for (int i = 0; i != 1000; ++i) {
    queue.push(&nothing, nullptr, 3);  // the ring grows and moves its items
  }
  queue.find(first)->words[0] = 10;
  CHECK(queue.pop().words[0] == 10);
  CHECK(queue.pop().words[0] == 20);
  CHECK(queue.size() == 1000);
}
