// FORK: what a child of fork() finds of its parent's loops, and that the parent goes on as if there had been
// none. Children that start children: tests/subprocess/fork_test.cpp.
#include "tests/net/datagrams/datagram_test.hpp"
#include "tests/net/folder.hpp"
#include "tests/net/net_test.hpp"
#include "tests/support/system.hpp"

#include <atomic>
#include <csignal>
#include <latch>
#include <optional>
#include <thread>

#if !defined(_WIN32)
#include "tests/support/forked.hpp"
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

#if defined(_WIN32)

TEST_CASE("FORK-001 FORK-002 a forked child") {
  for (const char* id : {"FORK-001", "FORK-002"}) {
    CHECK(lacks(id, Trait::fork));
  }
}

#else

namespace {

// ThreadSanitizer gives a child whose parent had several threads neither threads nor signals, and its
// epoll_pwait2 waits twice there and forgets what it heard first.
constexpr bool child_is_whole = !under_thread_sanitizer;

constexpr auto echo = [] { return make_ref<Echo>(); };
constexpr auto recorder = [] { return make_ref<Recorder>(); };

// Does the call throw, and say why?
bool is_refused(const std::function<void()>& call) {
  try {
    call();
  } catch (const RuntimeError& error) {
    return std::string_view(error.what()).find("inherited from the parent") != std::string_view::npos;
  }
  return false;
}

// Counts its ends: something that a coroutine or a callback of the parent holds.
struct Held {
  int& ends;
  explicit Held(int& counter) : ends(counter) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { ++ends; }
};

Coro<void> sleep_for_ever(std::shared_ptr<Held>) { co_await sleep(1h); }

// A loop with one of everything.
struct Family {
  LoopFixture fixture;
  EventLoop& loop = fixture.loop;
  Folder folder;
  Ref<Server> server, unix_server;
  Ref<Transport> client;
  Ref<Recorder> client_protocol;
  Ref<DatagramTransport> endpoint;
  Ref<DatagramRecorder> datagrams;
  Address endpoint_address;
  std::optional<SocketPair> idle;
  std::pair<Socket, Socket> watched = Socket::pair();
  Handle queued;
  TimerHandle timer;
  std::optional<Task<void>> asleep;
  int ends = 0;
  int ends_before = 0;  // in a child, before it did anything
  int readable = 0;
  int signals = 0;
  std::string echoed;
  std::vector<std::string> sent;

  Family() {
    loop.run_until_complete(begin());
    loop.add_reader(watched.first, [this] {
      ++readable;
      loop.remove_reader(watched.first);
    });
    loop.add_signal_handler(SIGTERM, [this] { ++signals; });
    timer = loop.call_later(1h, [held = std::make_shared<Held>(ends)] {});
    asleep = loop.create_task(sleep_for_ever(std::make_shared<Held>(ends)));
    drain(loop);
    queued = loop.call_soon([held = std::make_shared<Held>(ends)] {});
  }

  Coro<void> begin() {
    server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
    unix_server = co_await loop.create_unix_server(echo, {.path = folder.file("echo")});
    auto [transport, protocol] = co_await loop.create_connection(recorder, options_for(server));
    client = transport;
    client_protocol = protocol;
    const Address any = Address::inet("127.0.0.1", 0);
    auto [sending, receiving] = co_await loop.create_datagram_endpoint(
        [] { return make_ref<DatagramRecorder>(); }, {.local_addr = any});
    endpoint = sending;
    datagrams = receiving;
    endpoint_address = endpoint->get_extra_info<extra::sockname>().value();
    idle.emplace(co_await connected_sockets(loop));
    const int one = co_await loop.run_in_executor(nullptr, [] { return 1; });
    CHECK(one == 1);
    co_await say("before");
  }

  static ConnectionOptions options_for(const Ref<Server>& to) {
    ConnectionOptions options;
    options.host = "127.0.0.1";
    options.port = address_of(to).port();
    return options;
  }

  // Writes it and waits until exactly this, and nothing else, has come back.
  Coro<void> say(std::string text) {
    client->write(text);
    echoed += text;
    co_await until([this] { return client_protocol->received.size() >= echoed.size(); });
    CHECK(client_protocol->received == echoed);
    endpoint->sendto(as_bytes(text), endpoint_address);
    sent.push_back(text);
    co_await until([this] { return datagrams->received.size() >= sent.size(); });
    CHECK(datagrams->received == sent);
  }

  // Everything still works, and nothing has happened to it.
  Coro<void> go_on() {
    CHECK(ends == 1);  // what was queued
    CHECK_FALSE(asleep->done());
    CHECK(readable == 0);
    CHECK(signals == 0);
    CHECK(server->is_serving());
    co_await say("after");
    watched.second.shutdown_write();
    co_await until([this] { return readable == 1; });
    std::raise(SIGTERM);
    co_await until([this] { return signals == 1; });
    auto [connected, protocol] = co_await loop.create_connection(recorder, options_for(server));
    auto [local, local_protocol] =
        co_await loop.create_unix_connection(recorder, {.path = folder.file("echo")});
    for (const Ref<Recorder>& one : {protocol, local_protocol}) {
      one->transport->write("hello");
      one->transport->write_eof();
    }
    co_await until([&] { return protocol->lost == 1 && local_protocol->lost == 1; });
    CHECK(protocol->received == "hello");
    CHECK(local_protocol->received == "hello");
    co_await loop.sock_sendall(idle->near, "i");
    const Bytes got = co_await loop.sock_recv(idle->far, 100);
    CHECK(got.str() == "i");
    const int two = co_await loop.run_in_executor(nullptr, [] { return 2; });
    CHECK(two == 2);
    auto posted = loop.create_future<void>();
    std::thread poster([&] { loop.call_soon_threadsafe([&] { posted.set_result(); }); });
    co_await posted;
    poster.join();
  }

  void end() {
    loop.run_until_complete(go_on());
    timer.cancel();
    asleep->cancel();
    endpoint->abort();
    client->abort();
    loop.run_until_complete(stop_server(unix_server));
    loop.run_until_complete(stop_server(server));
    drain(loop);
    CHECK(ends == 3);
  }
};

// What is refused: every way to give an inherited loop something to do.
void check_refused(Family& family, Findings& findings) {
  EventLoop& loop = family.loop;
  const LoopRemote remote = loop.remote();
  const std::pair<const char*, std::function<void()>> calls[] = {
      {"run_forever", [&] { loop.run_forever(); }},
      {"run_until_complete", [&] { loop.run_until_complete(sleep_for_ever(nullptr)); }},
      {"call_soon", [&] { loop.call_soon([] {}); }},
      {"call_soon_threadsafe", [&] { loop.call_soon_threadsafe([] {}); }},
      {"remote", [&] { remote.post([] {}); }},
      {"call_later", [&] { loop.call_later(1s, [] {}); }},
      {"call_at", [&] { loop.call_at(loop.time(), [] {}); }},
      {"create_task", [&] { loop.create_task(sleep_for_ever(nullptr)); }},
      {"run_in_executor", [&] { loop.run_in_executor(nullptr, [] {}); }},
      {"add_reader", [&] { loop.add_reader(family.watched.second, [] {}); }},
      {"add_writer", [&] { loop.add_writer(family.watched.second, [] {}); }},
      {"add_signal_handler", [&] { loop.add_signal_handler(SIGTERM, [] {}); }},
      {"create_server", [&] { (void)loop.create_server(echo, {.host = "127.0.0.1"}); }},
      {"create_connection",
       [&] { (void)loop.create_connection(recorder, family.options_for(family.server)); }},
      {"getaddrinfo", [&] { (void)loop.getaddrinfo("127.0.0.1", 80, {}); }},
      {"set_busy_poll", [&] { loop.set_busy_poll(1us); }},
      {"guest", [&] { const LoopGuest guest(loop); }},
  };
  for (const auto& [name, call] : calls) {
    findings.check(is_refused(call), std::string(name) + " is not refused");
  }
  findings.check(loop.is_closed() && !loop.is_running(), "the loop is not closed");
  findings.check(remote.closed(), "the remote handle knows nothing");
  findings.check(!loop.remove_reader(family.watched.first), "remove_reader found something");
  findings.check(!loop.remove_signal_handler(SIGTERM), "remove_signal_handler found something");
  findings.check(!family.asleep->cancel(), "a task could be cancelled");
  findings.check(!family.timer.reschedule(loop.time()), "a timer could be moved");
}

// What does nothing: all that a program may call on its way out, and every destructor.
void check_inert(Family& family, Findings& findings) {
  family.queued.cancel();
  family.timer.cancel();
  findings.check(family.client->is_closing(), "the transport is not closing");
  family.client->write("from the child");
  family.client->write_eof();
  family.client->close();
  family.client->abort();
  family.endpoint->sendto(as_bytes("from the child"), family.endpoint_address);
  family.endpoint->abort();
  findings.check(!family.server->is_serving(), "the server serves");
  family.server->close();
  family.server->abort_clients();
  family.unix_server->close();
  family.loop.close();
  findings.check(family.ends == family.ends_before, "something of the parent's was destroyed");
}

void destroy(Family& family, Findings& findings) {
  family.fixture.loop_owner.reset();
  family.server.reset();
  family.unix_server.reset();
  family.client.reset();
  family.client_protocol.reset();
  family.endpoint.reset();
  family.datagrams.reset();
  family.idle.reset();
  family.watched = Socket::pair();
  family.asleep.reset();
  findings.check(family.ends == family.ends_before, "something of the parent's was destroyed with the loop");
}

Coro<void> use_everything(Findings& findings) {
  EventLoop& own = get_running_loop();
  auto server = co_await own.create_server(echo, {.host = "127.0.0.1"});
  auto [transport, protocol] = co_await own.create_connection(recorder, Family::options_for(server));
  transport->write("own");
  transport->write_eof();
  co_await until([one = protocol.get()] { return one->lost == 1; });
  findings.check(protocol->received == "own", "the own loop's server does not work");
  co_await stop_server(server);
  bool came = false;
  own.add_signal_handler(SIGTERM, [&came] { came = true; });
  std::raise(SIGTERM);
  co_await until([&came] { return came; });
  own.remove_signal_handler(SIGTERM);
  const int one = co_await own.run_in_executor(nullptr, [] { return 1; });
  findings.check(one == 1, "the own loop's executor does not work");
  auto posted = own.create_future<void>();
  std::thread poster([&] { own.call_soon_threadsafe([&] { posted.set_result(); }); });
  co_await posted;
  poster.join();
  co_await sleep(1ms);
}

void check_own_loop(Findings& findings) {
  const auto refused = [](auto call) {
    try {
      (void)call();
    } catch (const RuntimeError&) {
      return true;
    }
    return false;
  };
  findings.check(refused([] { return &get_running_loop(); }), "there is a running loop");
  findings.check(refused([] { return &get_event_loop(); }), "there is a current loop");
  EventLoop own;
  set_event_loop(&own);
  findings.check(&get_event_loop() == &own, "the policy does not take the own loop");
  findings.check(!own.is_closed(), "the own loop is closed");
  int order = 0;
  own.call_later(1ms, [&] {
    findings.check(++order == 2 && &get_running_loop() == &own, "the own loop's timer is wrong");
    own.stop();
  });
  own.call_soon([&] { findings.check(++order == 1, "the own loop's callback is wrong"); });
  own.run_forever();
  findings.check(order == 2, "the own loop's callbacks did not run");
  if (child_is_whole) {
    own.run_until_complete(use_everything(findings));
  }
  own.close();
  set_event_loop(nullptr);
  if (child_is_whole) {
    run(use_everything(findings));
  }
}

void check_all(Family& family, Findings& findings) {
  family.ends_before = family.ends;
  check_refused(family, findings);
  check_own_loop(findings);
  check_inert(family, findings);
  destroy(family, findings);
  check_own_loop(findings);
}

}  // namespace

TEST_CASE("FORK-001 a child that leaves at once does not disturb the parent") {
  Family family;
  CHECK(in_child([](Findings&) {}).empty());
  family.end();
}

TEST_CASE("FORK-001 a child that leaves by exit() does not disturb the parent") {
  Family family;
  CHECK(in_child([](Findings&) {}, Leaving::by_exit).empty());
  family.end();
}

TEST_CASE("FORK-001 nor one that does to the inherited loop all that can be done to it") {
  for (const Leaving leaving : {Leaving::at_once, Leaving::by_exit}) {
    Family family;
    set_event_loop(&family.loop);
    CHECK(in_child([&](Findings& findings) { check_all(family, findings); }, leaving) == "");
    set_event_loop(nullptr);
    family.end();
  }
}

TEST_CASE("FORK-001 nor one that is forked inside a callback, and a child of its own") {
  Family family;
  std::string found = "the callback was not called";
  family.loop.call_soon([&] {
    found = in_child([&](Findings& findings) {
      findings.text += in_child([&](Findings& of_child) { check_refused(family, of_child); });
      check_all(family, findings);
      findings.text += in_child([&](Findings& of_child) { check_own_loop(of_child); });
    });
  });
  drain(family.loop);
  CHECK(found == "");
  family.end();
}

TEST_CASE("FORK-001 in the child the run call ends when the callback has returned, and nothing more is run") {
  Family family;
  int later = 0;
  std::optional<Forked> forked;
  std::string refusal;
  family.loop.call_soon([&] { forked.emplace(); });
  family.loop.call_soon([&] { ++later; });
  family.loop.call_soon([&] { family.loop.stop(); });
  try {
    family.loop.run_forever();
  } catch (const RuntimeError& error) {
    refusal = error.what();
  }
  if (forked && forked->is_child()) {
    Findings findings;
    findings.check(refusal ==
                       "run_forever: the loop was inherited from the parent of this forked process, which "
                       "alone can use it",
                   "run_forever said: " + refusal);
    findings.check(later == 0, "callbacks of the parent were run");
    forked->leave([&](Findings& found) { check_all(family, found); }, std::move(findings));
  }
  drain(family.loop);
  CHECK(refusal.empty());
  CHECK(later == 1);
  CHECK(forked->findings() == "");
  family.end();
}

TEST_CASE("FORK-001 the same inside a coroutine, which goes on in the child until it has to wait") {
  std::optional<Forked> forked;
  Findings findings;
  bool went_on = false;
  const auto body = [](std::optional<Forked>& to, Findings& found, bool& reached) -> Coro<int> {
    auto done = get_running_loop().create_future<int>();
    done.set_result(3);
    to.emplace();
    const int three = co_await done;
    reached = true;
    co_await sleep(1ms);
    found.check(!to->is_child(), "a coroutine of the parent's has waited");
    co_return three;
  };
  std::string refusal;
  std::string logged;
  set_log_sink([&](LogLevel, std::string_view line) { logged += line; });
  int result = 0;
  try {
    result = run(body(forked, findings, went_on));
  } catch (const std::exception& error) {
    refusal = error.what();
  }
  set_log_sink({});
  if (forked && forked->is_child()) {
    findings.check(went_on, "the coroutine has not gone on");
    findings.check(logged.empty(), "there is in the log: " + logged);
    findings.check(refusal.find("inherited from the parent") != std::string::npos, "run said: " + refusal);
    forked->leave(&check_own_loop, std::move(findings));
  }
  CHECK(refusal == "");
  CHECK(logged == "");
  CHECK(result == 3);
  CHECK(forked->findings() == "");
}

TEST_CASE("FORK-001 nor one that is forked while another thread runs a loop") {
  Family family;
  auto other = std::make_unique<EventLoop>();
  const LoopRemote remote = other->remote();
  std::latch running(1);
  other->call_soon([&] { running.count_down(); });
  std::thread runner([&] { other->run_forever(); });
  running.wait();
  const auto work = [&](Findings& findings) {
    findings.check(other->is_closed(), "the other thread's loop is not closed");
    findings.check(is_refused([&] { other->call_soon_threadsafe([] {}); }), "it can be posted to");
    findings.check(is_refused([&] { remote.post([] {}); }), "it can be posted to by its handle");
    other->close();
    other.reset();
    check_all(family, findings);
  };
  for (const Leaving leaving : {Leaving::at_once, Leaving::by_exit}) {
    CHECK(in_child(work, leaving) == "");
  }
  std::latch answered(1);
  remote.post([&] { answered.count_down(); });
  answered.wait();
  other->call_soon_threadsafe([&] { other->stop(); });
  runner.join();
  family.end();
}

TEST_CASE_FIXTURE(LoopFixture, "FORK-001 a loop that is the guest of a host is not attached in a child") {
  LoopGuest guest(loop);
  bool called = false;
  loop.call_soon([&] { called = true; });
  const auto work = [&](Findings& findings) {
    findings.check(!guest.is_attached(), "the guest is attached");
    bool refused = false;
    try {
      guest.run_ready();
    } catch (const RuntimeError&) {
      refused = true;
    }
    findings.check(refused && !called, "the host can run it");
    loop_owner.reset();
    guest.detach();
    check_own_loop(findings);
  };
  CHECK(in_child(work) == "");
  CHECK(guest.is_attached());
  for (int turns = 0; turns != 10 && !called; ++turns) {  // sim may leave a turn idle
    guest.run_ready();
  }
  CHECK(called);
}

TEST_CASE("FORK-001 a server of another thread's loop keeps the name of its socket") {
  const Folder folder;
  const std::string path = folder.file("name");
  auto other = std::make_unique<EventLoop>();
  Ref<Server> server;
  std::latch running(1);
  std::string lost;
  const auto serve = [](EventLoop& loop, std::string at, Ref<Server>& to, std::latch& ready) -> Coro<void> {
    to = co_await loop.create_unix_server(echo, {.path = at});
    ready.count_down();
  };
  const auto connect = [](EventLoop& loop, std::string to) -> Coro<void> {
    auto [transport, protocol] = co_await loop.create_unix_connection(recorder, {.path = to});
    transport->abort();
    co_await until([one = protocol.get()] { return one->lost == 1; });
  };
  std::thread runner([&] {
    other->create_task(serve(*other, path, server, running));
    other->run_forever();
    try {
      other->run_until_complete(connect(*other, path));
    } catch (const std::exception& error) {
      lost = error.what();
    }
    other->run_until_complete(stop_server(server));
    server.reset();
    other->close();
  });
  running.wait();
  CHECK(in_child([&](Findings&) { server.reset(); }, Leaving::by_exit) == "");
  other->call_soon_threadsafe([&] { other->stop(); });
  runner.join();
  CHECK(lost == "");
}

TEST_CASE("FORK-002 in a child there is no running loop and no current one, and a new one works") {
  const LoopFixture fixture;
  set_event_loop(&fixture.loop);
  CHECK(in_child([](Findings& findings) { check_own_loop(findings); }) == "");
  CHECK(&get_event_loop() == &fixture.loop);
  set_event_loop(nullptr);
}

TEST_CASE("FORK-002 also in one that is forked inside a callback, or by another thread") {
  const LoopFixture fixture;
  std::string found = "nobody has forked";
  const auto work = [](Findings& findings) { check_own_loop(findings); };
  fixture.loop.call_soon([&] {
    found = in_child(work);
    CHECK(&get_running_loop() == &fixture.loop);
    std::thread other([&] { found += in_child(work); });
    other.join();
  });
  drain(fixture.loop);
  CHECK(found == "");
}

TEST_CASE("FORK-002 what threads may hold at that moment is not locked in the child") {
  std::atomic<bool> over = false;
  const auto again_and_again = [&over](auto call) {
    while (!over) {
      call();
    }
  };
  std::thread making([&] { again_and_again([] { EventLoop(); }); });
  std::thread asking([&] { again_and_again([] { get_event_loop_policy(); }); });
  std::thread setting([&] { again_and_again([] { set_log_sink({}); }); });
  std::string found;
  for (int i = 0; i != 50; ++i) {
    found += in_child([](Findings& findings) {
      EventLoop own;
      get_event_loop_policy();
      set_log_sink({});
      own.call_soon([&] { own.stop(); });
      own.run_forever();
      findings.check(!own.is_closed(), "the own loop is closed");
    });
  }
  over = true;
  for (std::thread* const thread : {&making, &asking, &setting}) {
    thread->join();
  }
  CHECK(found == "");
}

TEST_CASE("FORK-002 a pool of threads that was inherited refuses work, and neither waits nor ends anything") {
  auto pool = std::make_unique<ThreadPoolExecutor>(ThreadPoolOptions{.max_workers = 2});
  std::latch begun(1);
  std::latch may_end(1);
  pool->submit([&] {
    begun.count_down();
    may_end.wait();
  });
  begun.wait();
  const auto work = [&](Findings& findings) {
    findings.check(is_refused([&] { pool->submit([] {}); }), "submit is not refused");
    findings.check(pool->worker_count() == 0, "there are threads");
    pool->shutdown(true);
    if (!child_is_whole) {
      pool.reset();
    } else {
      std::latch may_leave(1);
      std::thread in_its_place([&] { may_leave.wait(); });  // may have the memory of one of the pool's
      pool.reset();
      may_leave.count_down();
      in_its_place.join();
      ThreadPoolExecutor own;
      std::latch done(1);
      own.submit([&] { done.count_down(); });
      done.wait();
    }
  };
  CHECK(in_child(work) == "");
  may_end.count_down();
  std::latch done(1);
  pool->submit([&] { done.count_down(); });
  done.wait();
}

#endif
