// Clause 10: errors are negated errnos; wake() is for other threads and signal handlers, and wakes merge.
#include "tests/contract/connected.hpp"

#include <atomic>
#include <csignal>
#include <thread>

using namespace contract;

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIR_TEST_DELAYS_SIGNALS 1
#endif
#endif
#ifdef WEIR_TEST_DELAYS_SIGNALS
static constexpr bool delays_signals = true;
#else
static constexpr bool delays_signals = false;
#endif

TEST_CASE("clause 10: errors of connections") {
  Loop loop;
  RawAddress nobody;
  {
    End bound(loop);  // a port that was free a moment ago
    REQUIRE(Sockets::bind(bound.native, loopback()) == 0);
    REQUIRE(Sockets::local_address(bound.native, nobody) == 0);
  }
  End client(loop);
  Waited<ConnectOp> refused;
  refused.address = nobody;
  CHECK(loop.finish(refused, client.handle) == -ECONNREFUSED);

  Pair pair(loop);
  pair.client.abort();
  std::string text;
  CHECK(pair.server.receive(text) == -ECONNRESET);
  std::int64_t sent = 0;
  for (int i = 0; i < 100 && sent >= 0; ++i) {
    sent = pair.server.send("into the void");
  }
  CHECK((sent == -EPIPE || sent == -ECONNRESET));

  Pair other(loop);
  CHECK(loop.backend.shutdown_write(other.client.handle) == 0);
  CHECK(other.client.send("after the end") == -EPIPE);

  Pair reset(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, reset.server.handle) == Started::pending);
  reset.client.abort();
  REQUIRE(loop.until([&] { return reading.ends > 0; }));
  CHECK(reading.result == -ECONNRESET);
}

TEST_CASE("clause 10: errors of sockets and watches") {
  Loop loop;
  Listener listener(loop);
  End second(loop);
  CHECK(Sockets::bind(second.native, listener.address) == -EADDRINUSE);
  Watching watching(Direction::read);
  CHECK(loop.backend.watch(-1, watching) == -EBADF);
  CHECK(watching.handle == nullptr);
  const native_socket closed = open();
  Sockets::close(closed);
  CHECK(loop.backend.watch(closed, watching) == -EBADF);
  CHECK(watching.handle == nullptr);
  CHECK(loop.backend.find(closed) == nullptr);
  CHECK(loop.backend.find(-1) == nullptr);
  CHECK(Sockets::close(closed) == -EBADF);
  CHECK(Sockets::is_blocking(listener.native) == 0);
  CHECK(Sockets::family(listener.native) == static_cast<std::int64_t>(AddressFamily::inet));
  CHECK(Sockets::set_option(listener.native, SocketOption::reuse_address, 1) == 0);
  CHECK(Sockets::get_option(listener.native, SocketOption::reuse_address) == 1);
  CHECK(Sockets::get_option(listener.native, SocketOption::error) == 0);
}

TEST_CASE("clause 10: wake() ends the next wait, from any thread") {
  Loop loop;
  loop.backend.wake();
  loop.backend.poll(TimePoint::max());  // returns, or the test hangs

  // A wake that is lost leaves the loop asleep for the whole of this.
  constexpr auto too_long = 10s;
  constexpr int threads = 4;
  constexpr int wakes = 2000;
  std::atomic<int> published = 0;
  std::vector<std::thread> wakers;
  const auto started = std::chrono::steady_clock::now();
  for (int i = 0; i < threads; ++i) {
    wakers.emplace_back([&] {
      for (int n = 0; n < wakes; ++n) {
        published.fetch_add(1, std::memory_order_release);
        loop.backend.wake();
      }
    });
  }
  while (published.load(std::memory_order_acquire) < threads * wakes) {
    const int seen = published.load(std::memory_order_acquire);
    if (seen == threads * wakes) {
      break;
    }
    loop.backend.poll(TimePoint::max());
  }
  for (std::thread& waker : wakers) {
    waker.join();
  }
  CHECK(std::chrono::steady_clock::now() - started < too_long);
}

TEST_CASE("clause 10: a thread that wakes once wakes a sleeping loop") {
  Loop loop;
  for (int round = 0; round < 200; ++round) {
    std::atomic<bool> published = false;
    std::thread waker([&] {
      published.store(true, std::memory_order_release);
      loop.backend.wake();
    });
    while (!published.load(std::memory_order_acquire)) {
      loop.backend.poll(TimePoint::max());
    }
    waker.join();
    loop.backend.poll(TimePoint::min());  // takes a wake that came after the look
  }
}

TEST_CASE("clause 10: many wakes before one poll cost one") {
  Loop loop;
  for (int i = 0; i < 10'000; ++i) {
    loop.backend.wake();
  }
  CHECK(loop.pass(20ms) <= 10);
}

#ifdef SIGUSR1
TEST_CASE("clause 10: wake() from a signal handler") {
  static Backend* woken;
  static std::atomic<int> handled;
  Loop loop;
  woken = &loop.backend;
  handled = 0;
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) {
    handled.fetch_add(1);
    woken->wake();
  };
  sigaction(SIGUSR1, &action, &before);
  const pthread_t self = pthread_self();
  for (int round = 1; round <= 50; ++round) {
    std::thread sender([self, round] {
      pthread_kill(self, SIGUSR1);
      // ThreadSanitizer keeps a signal back until a call that it knows; waiting on an atomic is none.
      while (delays_signals && handled.load() < round) {
        std::this_thread::yield();
        pthread_kill(self, SIGUSR1);
      }
    });
    while (handled.load() < round) {
      loop.backend.poll(TimePoint::max());
    }
    sender.join();
  }
  sigaction(SIGUSR1, &before, nullptr);
}
#endif
