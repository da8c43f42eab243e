// What users of other systems suffered from, as tests: spinning on what was closed, buffers without bound,
// and a busy neighbour.
#include "tests/net/net_test.hpp"

#include <algorithm>
#include <functional>
#include <memory>

#if defined(WEIR_TEST_POSIX)
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include <unistd.h>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

// --- 2: a descriptor that lives on in a duplicate

#if defined(WEIR_TEST_POSIX)

namespace {

std::chrono::microseconds processor_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto time = [](const timeval& value) {
    return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
  };
  return time(usage.ru_utime) + time(usage.ru_stime);
}

// A process that has a duplicate of every descriptor, and does nothing.
class Holder {
 public:
  Holder() : child_(::fork()) {
    REQUIRE(child_ >= 0);
    if (child_ == 0) {
      for (;;) {
        ::pause();
      }
    }
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

 private:
  pid_t child_;
};

}  // namespace

WEIR_TEST("LESSON-002 a closed descriptor that lives on in another process does not spin the loop") {
  auto by_transport = co_await wire(loop);
  auto by_sock = co_await connected_sockets(loop);
  auto [by_reader, far_from_reader] = Socket::pair();
  auto [by_both, far_from_both] = Socket::pair();
  auto server = co_await loop.create_server([] { return make_ref<Echo>(); }, {.host = "127.0.0.1"});
  const Address address = address_of(server);
  Task<std::string> receiving = loop.create_task(read_all(loop, by_sock.near));
  loop.add_reader(by_reader, [] {});
  loop.add_reader(by_both, [] {});
  loop.add_writer(by_both, [] {});
  co_await settle(loop);
  const Holder holder;
  receiving.cancel();
  co_await until([&] { return receiving.done(); });
  co_await finish(by_transport);
  by_sock.near.close();
  CHECK(loop.remove_reader(by_reader));
  by_reader.close();
  CHECK(loop.remove_reader(by_both));
  CHECK(loop.remove_writer(by_both));
  by_both.close();
  co_await stop_server(server);
  // The connections and the listener are still there, with plenty to report.
  for (Socket* const peer : {&by_transport.peer->socket(), &by_sock.far, &far_from_reader, &far_from_both}) {
    co_await loop.sock_sendall(*peer, "is anybody there?");
  }
  Socket late = co_await connect_to(loop, address);
  const auto before = processor_time();
  co_await sleep(400ms);
  CHECK(processor_time() - before < 100ms);  // a loop that spins takes nearly all of the time
}

#else

WEIR_TEST("LESSON-002 a closed descriptor that lives on in another process does not spin the loop") {
  CHECK(lacks("LESSON-002", Trait::inherited_sockets));
  co_return;
}

#endif

// --- 35: buffers without bound

WEIR_TEST("LESSON-035 a sink that never reads keeps what is queued below the high-water mark and one write") {
  constexpr std::size_t high = 50'000;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1'000}, high + 1, std::size_t{1'000'000}}) {
    auto w = co_await wire(loop, true);
    w.transport->set_write_buffer_limits(high);
    bool may_write = true;
    w.protocol->on_pause = [&] { may_write = false; };
    w.protocol->on_resume = [&] { may_write = true; };
    const std::string text = pattern(piece);
    std::size_t written = 0;
    std::size_t most = 0;
    // A writer that minds the signal, and comes again whenever it may.
    for (int rounds = 0; rounds != 3; ++rounds) {
      while (may_write) {
        w.transport->write(text);
        written += piece;
        most = std::max(most, w.transport->get_write_buffer_size());
        REQUIRE(written < 100'000'000);
      }
      co_await settle(loop);
    }
    CHECK(most > high);
    CHECK(most <= high + piece);
    CHECK_FALSE(may_write);
    co_await finish(w);
  }
}

// --- 37: one busy task or connection

namespace {

// Awaits what is ready already, for ever.
Coro<void> await_for_ever(EventLoop& loop, const bool& ended) {
  auto ready = loop.create_future<void>();
  ready.set_result();
  while (!ended) {
    co_await ready;
  }
}

// Connects, and lets go, for ever.
Coro<void> storm(EventLoop& loop, Address address, const bool& ended) {
  while (!ended) {
    co_await connect_to(loop, address);
  }
}

// Fills a connection for ever.
Coro<void> flood(EventLoop& loop, Socket& socket, const bool& ended) {
  const std::string text = pattern(1 << 18);
  while (!ended) {
    co_await loop.sock_sendall(socket, text);
  }
}

}  // namespace

WEIR_TEST("LESSON-037 a busy task, a flooding socket and an accept storm together hold up no timer") {
  bool ended = false;
  TimePoint due = TimePoint::max();  // of the timer
  int turns_past_due = 0;
  std::size_t bytes_in_turn = 0;
  std::size_t accepts_in_turn = 0;
  std::size_t most_bytes = 0;
  std::size_t most_accepts = 0;
  std::function<void()> next_turn = [&] {
    turns_past_due += loop.time() >= due ? 1 : 0;
    most_bytes = std::max(most_bytes, std::exchange(bytes_in_turn, 0));
    most_accepts = std::max(most_accepts, std::exchange(accepts_in_turn, 0));
    if (!ended) {
      loop.call_soon(std::ref(next_turn));
    }
  };
  next_turn();
  auto flooded = co_await wire(loop);
  flooded.protocol->on_data = [&] {
    bytes_in_turn += std::exchange(flooded.protocol->received, {}).size();
    flooded.protocol->events.clear();
  };
  const auto factory = [&] {
    ++accepts_in_turn;
    return make_ref<Echo>();
  };
  auto server = co_await loop.create_server(factory, {.host = "127.0.0.1"});
  std::vector<Task<void>> tasks;
  tasks.push_back(loop.create_task(await_for_ever(loop, ended)));
  tasks.push_back(loop.create_task(flood(loop, flooded.peer->socket(), ended)));
  for (int i = 0; i != 80; ++i) {
    tasks.push_back(loop.create_task(storm(loop, address_of(server), ended)));
  }

  for (int i = 0; i != 15; ++i) {
    auto fired = loop.create_future<void>();
    turns_past_due = 0;
    due = loop.time() + 1ms;
    loop.call_at(due, [&] {
      CHECK(turns_past_due <= 2);  // the one in which it comes due, and the next
      // Time that a machine spends elsewhere says nothing.
      CHECK((has("real_clock") || loop.time() - due < 10ms));
      fired.set_result();
    });
    co_await fired;
  }
  ended = true;
  for (Task<void>& task : tasks) {
    task.cancel();
  }
  co_await until(
      [&] { return std::all_of(tasks.begin(), tasks.end(), [](const auto& t) { return t.done(); }); });
  // What a turn can cost at most.
  CHECK(most_bytes > 0);
  CHECK(most_bytes <= 64 * 1024);
  CHECK(most_accepts > 0);
  CHECK(most_accepts <= 64);
  flooded.peer->socket().close();
  co_await finish(flooded);
  co_await stop_server(server);
}
