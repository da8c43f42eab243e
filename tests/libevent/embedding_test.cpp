// LESSON-042: weir inside a program that is libevent's: its evhttp serves, and weir's tasks run in the same
// thread.
#include "tests/support/forked.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/libevent.hpp>
#include <weir/weir.hpp>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

struct BaseFree {
  void operator()(event_base* base) const noexcept { ::event_base_free(base); }
  void operator()(evhttp* server) const noexcept { ::evhttp_free(server); }
};

// A program of libevent's, ended after a while in any case.
class Program {
 public:
  Program() : base(::event_base_new()) { REQUIRE(base != nullptr); }
  // Dispatches until somebody ends it; false when that took too long.
  bool dispatch() {
    const timeval limit{20, 0};
    timed_out_ = false;
    event* const timer = ::event_new(
        base.get(), -1, 0,
        [](int, short, void* self) noexcept {
          static_cast<Program*>(self)->timed_out_ = true;
          ::event_base_loopbreak(static_cast<Program*>(self)->base.get());
        },
        this);
    ::event_add(timer, &limit);
    ::event_base_dispatch(base.get());
    ::event_free(timer);
    return !timed_out_;
  }

  std::unique_ptr<event_base, BaseFree> base;

 private:
  bool timed_out_ = false;
};

// evhttp, which answers by itself or by a task of weir's.
class HttpServer {
 public:
  HttpServer(event_base* base, EventLoop& loop, LibeventGuest& guest)
      : loop_(loop), guest_(guest), http_(::evhttp_new(base)) {
    evhttp_bound_socket* bound = ::evhttp_bind_socket_with_handle(http_.get(), "127.0.0.1", 0);
    REQUIRE(bound != nullptr);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(::evhttp_bound_socket_get_fd(bound), reinterpret_cast<sockaddr*>(&address),
                          &size) == 0);
    port = ntohs(address.sin_port);
    ::evhttp_set_gencb(http_.get(), &on_request, this);
  }

  std::uint16_t port = 0;
  int requests = 0;

 private:
  static void reply(evhttp_request* request, const char* text) {
    evbuffer* const body = ::evbuffer_new();
    ::evbuffer_add_printf(body, "%s", text);
    ::evhttp_send_reply(request, HTTP_OK, "OK", body);
    ::evbuffer_free(body);
  }
  static void on_request(evhttp_request* request, void* object) noexcept {
    auto& self = *static_cast<HttpServer*>(object);
    ++self.requests;
    if (std::string_view(::evhttp_request_get_uri(request)) != "/later") {
      reply(request, "at once");
      return;
    }
    self.loop_.create_task(reply_later(request));
    self.guest_.update();
  }
  static Coro<void> reply_later(evhttp_request* request) {
    co_await sleep(2ms);
    reply(request, "by a task");
  }

  EventLoop& loop_;
  LibeventGuest& guest_;
  std::unique_ptr<evhttp, BaseFree> http_;
};

Coro<std::string> get(std::uint16_t port, const char* path) {
  StreamPair pair = co_await open_connection({.host = "127.0.0.1", .port = port});
  const std::string request =
      std::string("GET ") + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  pair.second->write(std::string_view(request));
  const Bytes answer = co_await pair.first->read(-1);
  pair.second->close();
  const std::string text = answer.str();
  co_return text.substr(text.rfind("\n") + 1);
}

Coro<int> talk(std::uint16_t port, event_base* base) {
  int right = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string once = co_await get(port, "/");
    const std::string later = co_await get(port, "/later");
    right += (once == "at once") + (later == "by a task");
  }
  ::event_base_loopbreak(base);
  co_return right;
}

Coro<void> wait_long() { co_await sleep(1h); }

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 evhttp and weir's tasks, timers and posts in one thread") {
  Program program;
  LibeventGuest guest(loop, program.base.get());
  HttpServer server(program.base.get(), loop, guest);
  int ticks = 0;
  int posts = 0;
  loop.call_later(1ms, [&] { ++ticks; });
  std::thread poster([&] {
    for (int i = 0; i < 200; ++i) {
      loop.call_soon_threadsafe([&] { ++posts; });
    }
  });
  Task<int> task = loop.create_task(talk(server.port, program.base.get()));
  guest.update();
  CHECK(program.dispatch());
  poster.join();
  REQUIRE(task.done());
  CHECK(task.result() == 40);
  CHECK(server.requests == 40);
  CHECK(ticks == 1);
  loop.call_soon([&] { ::event_base_loopexit(program.base.get(), nullptr); });
  guest.update();
  CHECK(program.dispatch());
  CHECK(posts == 200);
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 posts wake a base that sleeps") {
  Program program;
  LibeventGuest guest(loop, program.base.get());
  for (int round = 0; round < 100; ++round) {
    std::thread poster(
        [&] { loop.call_soon_threadsafe([&] { ::event_base_loopbreak(program.base.get()); }); });
    CHECK(program.dispatch());
    poster.join();
  }
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 a chain of callbacks lets the base's own events through") {
  Program program;
  LibeventGuest guest(loop, program.base.get());
  std::function<void()> again = [&] { loop.call_soon([&] { again(); }); };
  again();
  guest.update();
  const timeval soon{0, 1000};
  ::event_base_loopexit(program.base.get(), &soon);
  CHECK(program.dispatch());
}

TEST_CASE_FIXTURE(LoopFixture,
                  "LESSON-042 stop() and exceptions end the dispatch, and the next one goes on") {
  Program program;
  LibeventGuest guest(loop, program.base.get());
  int ran = 0;
  loop.call_soon([&] { loop.stop(); });
  loop.call_soon([&] {
    ++ran;
    loop.call_soon([] { throw KeyboardInterrupt(); });
  });
  guest.update();
  CHECK(program.dispatch());
  CHECK(guest.is_stopped());
  CHECK(ran == 1);
  guest.rethrow();
  CHECK(program.dispatch());
  CHECK_FALSE(guest.is_stopped());
  CHECK_THROWS_AS(guest.rethrow(), KeyboardInterrupt);
  guest.rethrow();
  loop.call_later(1ms, [&] { loop.stop(); });
  guest.update();
  CHECK(program.dispatch());
  CHECK(guest.is_stopped());
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 detaching takes everything back, from inside a callback too") {
  Program program;
  CHECK_THROWS_AS((LibeventGuest{loop, nullptr}), std::invalid_argument);
  auto guest = std::make_unique<LibeventGuest>(loop, program.base.get());
  CHECK_THROWS_AS((LibeventGuest{loop, program.base.get()}), RuntimeError);
  CHECK_THROWS_AS(loop.run_forever(), RuntimeError);
  int ran = 0;
  loop.call_soon([&] {
    loop.call_soon([&] { ++ran; });
    guest.reset();
  });
  guest->update();
  CHECK(::event_base_dispatch(program.base.get()) == 1);  // nothing is left that would keep it
  CHECK(ran == 0);
  run_until(loop, [&] { return ran == 1; });
  LibeventGuest again(loop, program.base.get());
  loop.call_soon([&] {
    CHECK(::event_base_loop(program.base.get(), EVLOOP_NONBLOCK) == -1);  // libevent's own refusal
    again.detach();
  });
  again.update();
  CHECK(::event_base_dispatch(program.base.get()) == 1);
  again.update();
  CHECK_FALSE(again.is_attached());
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 closing the loop takes it out of the base") {
  Program program;
  LibeventGuest guest(loop, program.base.get());
  Task<void> task = loop.create_task(wait_long());
  guest.update();
  ::event_base_loop(program.base.get(), EVLOOP_NONBLOCK);
  loop.close();
  env.expect_report("Task was destroyed but it is pending");
  CHECK_FALSE(guest.is_attached());
  guest.update();
  CHECK(::event_base_get_num_events(program.base.get(), EVENT_BASE_COUNT_ADDED) == 0);
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 a loop outlives the event_base that it was embedded into") {
  auto [near, far] = Socket::pair();
  {
    Program program;
    const LibeventGuest guest(loop, program.base.get());
    loop.add_reader(near, [] {});
    loop.remove_reader(near);
  }
  // Where the base was, there is something else: whoever looks there comes to grief.
  std::vector<std::string> others;
  for (std::size_t size = 64; size != 2048; ++size) {
    others.emplace_back(size, '\xA5');
  }
  int readable = 0;
  loop.add_reader(near, [&, &watched = near] {
    ++readable;
    loop.remove_reader(watched);
    loop.stop();
  });
  far.shutdown_write();
  loop.run_forever();
  CHECK(readable == 1);
}

TEST_CASE_FIXTURE(LoopFixture,
                  "FORK-001 a child of fork() takes nothing out of the application's event_base") {
  Program program;
  std::optional<LibeventGuest> guest(std::in_place, loop, program.base.get());
  auto [near, far] = Socket::pair();
  int readable = 0;
  loop.add_reader(near, [&, &watched = near] {
    ++readable;
    loop.remove_reader(watched);
    loop.stop();
  });
  const auto work = [&](Findings& findings) {
    findings.check(!guest->is_attached(), "the guest is attached");
    guest.reset();
    loop.close();
    loop_owner.reset();
    EventLoop own;
    own.call_later(1ms, [&] { own.stop(); });
    own.run_forever();
  };
  CHECK(in_child(work) == "");
  guest->update();
  std::thread poster([&] { loop.call_soon_threadsafe([&] { loop.stop(); }); });
  CHECK(program.dispatch());
  poster.join();
  CHECK(guest->is_stopped());
  far.shutdown_write();
  CHECK(program.dispatch());
  CHECK(readable == 1);
}
