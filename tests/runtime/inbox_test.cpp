// The inbox by itself, with a loop of the simplest kind: exactly once, in order, woken, and closed in the
// middle.
#include "tests/support/awaited.hpp"
#include "tests/support/weir_test.hpp"

#include "backends/chosen.hpp"
#include "runtime/inbox.hpp"

#include <weir/detail/ready_queue.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;
using detail::Backend;
using detail::Callback;
using detail::Inbox;
using detail::ReadyAction;
using detail::ReadyItem;
using detail::ReadyQueue;

namespace {

constexpr int thread_count = 8;
constexpr int posts_each = 125'000;

// What a loop does with an inbox. Sleeps without a deadline: a lost wake-up hangs.
class MiniLoop {
 public:
  MiniLoop() : inbox(std::make_shared<Inbox>(*backend_)) {}
  MiniLoop(const MiniLoop&) = delete;
  MiniLoop& operator=(const MiniLoop&) = delete;
  ~MiniLoop() { close(); }

  void turn() {
    inbox->take(ready_);
    if (ready_.empty() && inbox->prepare_sleep()) {
      ++sleeps;
      slept.store(true);
      backend_->poll(TimePoint::max());
      inbox->woke();
    }
    inbox->take(ready_);
    run(ReadyAction::run);
  }
  // The backend goes at once, while others may be about to wake it.
  void close() {
    if (backend_) {
      inbox->close();
      backend_.reset();
      run(ReadyAction::drop);
    }
  }

  std::uint64_t sleeps = 0;
  Awaited<bool> slept{false};

 private:
  void run(ReadyAction action) {
    while (!ready_.empty()) {
      ReadyItem item = ready_.pop();
      item(action);
    }
  }

  ReadyQueue ready_;
  std::unique_ptr<Backend> backend_ = std::make_unique<Backend>(ready_);

 public:
  std::shared_ptr<Inbox> inbox;
};

// Lives once; tells whether it was run when it goes.
class Parcel {
 public:
  struct Counts {
    std::atomic<int> run = 0;
    std::atomic<int> dropped = 0;
  };
  explicit Parcel(Counts& counts) noexcept : counts_(&counts) {}
  Parcel(Parcel&& other) noexcept : counts_(std::exchange(other.counts_, nullptr)), run_(other.run_) {}
  Parcel& operator=(Parcel&&) = delete;
  ~Parcel() {
    if (counts_ != nullptr) {
      (run_ ? counts_->run : counts_->dropped).fetch_add(1, std::memory_order_relaxed);
    }
  }
  void operator()() noexcept { run_ = true; }

 private:
  Counts* counts_;
  bool run_ = false;
};

}  // namespace

TEST_CASE("inbox: 8 threads, a million posts in bursts, each runs once and in its thread's order") {
  Env env;
  {
    MiniLoop loop;
    std::array<int, thread_count> next{};
    int out_of_order = 0;
    long ran = 0;
    std::vector<std::thread> threads;
    for (int index = 0; index != thread_count; ++index) {
      threads.emplace_back([&, index, inbox = loop.inbox] {
        std::mt19937 random(static_cast<unsigned>(index));
        for (int number = 0; number != posts_each;) {
          for (unsigned burst = random() % 300; burst != 0 && number != posts_each; --burst, ++number) {
            inbox->post(Callback([&, index, number] {
                          ++ran;
                          out_of_order += next[static_cast<std::size_t>(index)]++ == number ? 0 : 1;
                        }),
                        Context());
          }
          for (unsigned pause = random() % 4; pause != 0; --pause) {
            std::this_thread::yield();
          }
          // On a machine that leaves it behind it would never sleep: half-way, all wait until it has.
          if (number >= posts_each / 2) {
            loop.slept.wait(false);
          }
        }
      });
    }
    while (ran != long{thread_count} * posts_each) {
      loop.turn();
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(out_of_order == 0);
    CHECK(loop.sleeps > 0);
  }
}

TEST_CASE("inbox: closed in the middle, every callback ends once: run, dropped or refused") {
  Env env;
  for (int round = 0; round != 20; ++round) {
    Parcel::Counts counts;
    std::atomic<int> posted = 0;
    std::atomic<int> refused = 0;
    std::optional<MiniLoop> loop;
    loop.emplace();
    std::vector<std::thread> threads;
    const int each = posts_each / 20;
    for (int index = 0; index != thread_count; ++index) {
      threads.emplace_back([&, index, inbox = loop->inbox] {
        std::mt19937 random(static_cast<unsigned>(index + 100 * round));
        for (int number = 0; number != each; ++number) {
          posted.fetch_add(1, std::memory_order_relaxed);
          try {
            inbox->post(Callback(Parcel(counts)), Context());
          } catch (const RuntimeError&) {
            refused.fetch_add(1, std::memory_order_relaxed);
          }
          if (random() % 64 == 0) {
            std::this_thread::yield();
          }
        }
      });
    }
    const int enough = thread_count * each / 20 * (round % 10);
    while (counts.run.load(std::memory_order_relaxed) < enough) {
      loop->turn();
    }
    loop.reset();
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(posted.load() == thread_count * each);
    CHECK(counts.run.load() + counts.dropped.load() == posted.load());
    CHECK(counts.run.load() >= enough);
    CHECK(counts.dropped.load() >= refused.load());
  }
}

TEST_CASE("inbox: what is posted while the loop is about to sleep keeps it awake") {
  MiniLoop loop;
  int ran = 0;
  CHECK(loop.inbox->prepare_sleep());
  loop.inbox->woke();
  loop.inbox->post(Callback([&] { ++ran; }), Context());
  CHECK_FALSE(loop.inbox->prepare_sleep());
  loop.turn();
  CHECK(ran == 1);
  CHECK(loop.sleeps == 0);
  CHECK(loop.inbox->prepare_sleep());
  loop.inbox->post(Callback([&] { ++ran; }), Context());  // wakes the backend, which nobody waits in yet
  loop.inbox->woke();
  loop.turn();
  CHECK(ran == 2);
}

TEST_CASE("inbox: a callback may post, and its destructor too, and neither runs in the same batch") {
  MiniLoop loop;
  std::vector<int> order;
  struct PostsAtEnd {
    Inbox* inbox;
    std::vector<int>* order;
    PostsAtEnd(Inbox& i, std::vector<int>& o) : inbox(&i), order(&o) {}
    PostsAtEnd(PostsAtEnd&& other) noexcept
        : inbox(std::exchange(other.inbox, nullptr)), order(other.order) {}
    PostsAtEnd& operator=(PostsAtEnd&&) = delete;
    ~PostsAtEnd() {
      if (inbox != nullptr) {
        inbox->post(Callback([o = order] { o->push_back(3); }), Context());
      }
    }
  };
  Inbox& inbox = *loop.inbox;
  inbox.post(Callback([&order, &inbox, last = PostsAtEnd(inbox, order)] {
               order.push_back(1);
               inbox.post(Callback([&order] { order.push_back(2); }), Context());
             }),
             Context());
  loop.turn();
  CHECK(order == std::vector{1});
  loop.turn();
  CHECK(order == std::vector{1, 2, 3});
}
