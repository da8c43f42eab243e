// LIFE, DBG-007: who lives how long, and what any callback may do to anybody.
#include "tests/net/net_test.hpp"

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// A protocol whose only owner is its transport, and which lets go of that in the callback of this name.
class LetsGo final : public Protocol {
 public:
  LetsGo(std::string callback, int& destroyed) : callback_(std::move(callback)), destroyed_(destroyed) {}
  void connection_made(Ref<Transport> made) override {
    transport_ = std::move(made);
    transport_->set_write_buffer_limits(0);
    at("made");
  }
  void data_received(std::span<const std::byte>) override { at("data"); }
  bool eof_received() override {
    at("eof");
    return false;
  }
  void pause_writing() override { at("pause"); }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 protected:
  ~LetsGo() override { ++destroyed_; }

 private:
  void at(std::string_view here) {
    if (callback_ == here) {
      transport_->abort();
      // Its protocol is another one from here on: this one dies with the last reference, in its own call.
      Transport& transport = *transport_;
      transport_.reset();
      transport.set_protocol(make_ref<Recorder>());
    }
  }

  std::string callback_;
  int& destroyed_;
  Ref<Transport> transport_;
};

}  // namespace

WEIR_TEST("LIFE-001 a protocol and its transport may be let go of inside any callback") {
  for (const std::string callback : {"made", "data", "eof", "pause"}) {
    CAPTURE(callback);
    int destroyed = 0;
    SocketPair s = co_await connected_sockets(loop, true);
    const auto factory = [&] { return make_ref<LetsGo>(callback, destroyed); };
    Ref<Transport> transport;
    {
      auto [made, protocol] = co_await loop.create_connection(factory, {.sock = &s.near});
      transport = made;
    }
    if (callback == "pause") {
      for (int i = 0; i != 100 && destroyed == 0; ++i) {
        transport->write(pattern(100'000));
      }
    }
    transport.reset();
    if (callback == "data") {
      co_await loop.sock_sendall(s.far, "x");
    } else if (callback == "eof") {
      s.far.shutdown_write();
    }
    co_await until([&] { return destroyed == 1; });
    co_await read_rest(loop, s.far);
  }
}

WEIR_TEST("LIFE-001 a server may be dropped in its factory and in a callback of its connections") {
  Ref<Server> server;
  std::vector<Ref<Recorder>> made;
  int calls = 0;
  const auto factory = [&] {
    auto protocol = make_ref<Recorder>();
    if (++calls == 2) {
      server->close();
      server.reset();
    }
    made.push_back(protocol);
    return protocol;
  };
  server = co_await loop.create_server(factory, {.host = "127.0.0.1"});
  const Address address = server->sockets()[0].local_address();
  Socket first = co_await connect_to(loop, address);
  co_await until([&] { return made.size() == 1; });
  Socket second = co_await connect_to(loop, address);
  co_await until([&] { return made.size() == 2 && made[1]->transport != nullptr; });
  co_await loop.sock_sendall(second, "x");
  co_await until([&] { return made[1]->received == "x"; });

  auto protocol = make_ref<Recorder>();
  protocol->on_lost = [&] {
    server->close();
    server.reset();
  };
  server = co_await loop.create_server([&] { return protocol; }, {.host = "127.0.0.1"});
  Socket third = co_await connect_to(loop, server->sockets()[0].local_address());
  co_await until([&] { return protocol->transport != nullptr; });
  third.close();
  first.close();
  second.close();
  co_await until([&] { return protocol->lost + made[0]->lost + made[1]->lost == 3; });
  CHECK(server == nullptr);
}

WEIR_TEST("LIFE-001 timers and watchers may be let go of inside their own callback") {
  auto s = co_await connected_sockets(loop);
  auto alive = std::make_shared<int>(0);
  std::optional<TimerHandle> timer;
  bool ran = false;
  timer = loop.call_later(1ms, [&, alive] {
    timer->cancel();
    timer.reset();
    ran = true;
    CHECK(alive.use_count() > 1);
  });
  co_await until([&] { return ran; });
  CHECK(alive.use_count() == 1);
  ran = false;
  std::optional<Socket> watched = std::move(s.near);
  loop.add_writer(*watched, [&, alive] {
    loop.remove_writer(*watched);
    watched.reset();
    ran = true;
    CHECK(alive.use_count() > 1);
  });
  co_await until([&] { return ran; });
  CHECK(alive.use_count() == 1);
  co_await settle(loop);
  // A socket that is closed under its own watcher takes the watch with it.
  int calls = 0;
  loop.add_writer(s.far, [&] {
    ++calls;
    s.far.close();
  });
  co_await until([&] { return calls == 1; });
  co_await settle(loop);
  CHECK(calls == 1);
}

WEIR_TEST("LIFE-002 closing several objects calls their final callbacks in the order of closing") {
  std::vector<int> order;
  std::vector<Wire<Recorder>> wires;
  for (int i = 0; i != 6; ++i) {
    auto& w = wires.emplace_back(co_await wire(loop));
    w.protocol->on_lost = [&order, i] { order.push_back(i); };
  }
  for (const int i : {3, 1, 5, 0, 4, 2}) {
    i % 2 == 0 ? wires[static_cast<std::size_t>(i)].transport->close()
               : wires[static_cast<std::size_t>(i)].transport->abort();
  }
  CHECK(order.empty());
  co_await until([&] { return order.size() == 6; });
  CHECK(order == std::vector{3, 1, 5, 0, 4, 2});
}

WEIR_TEST("LIFE-003 no callback of an object runs after its final callback") {
  for (int turns = 0; turns != 12; ++turns) {
    auto w = co_await wire(loop, true);
    clog(*w.transport);
    auto sending = start_sending(loop, w.peer->socket(), pattern(300'000));
    for (int i = 0; i != turns; ++i) {
      co_await sleep(0s);
    }
    w.transport->abort();
    w.transport->resume_reading();
    w.transport->write("x");
    co_await until([&] { return w.protocol->lost != 0; });
    const std::size_t events = w.protocol->events.size();
    w.transport->resume_reading();
    w.transport->write("x");
    w.transport->set_write_buffer_limits(0);
    co_await read_rest(loop, w.peer->socket());
    w.peer->socket().close();
    co_await settle(loop);
    co_await sending;
    CHECK(w.protocol->events.size() == events);
    CHECK(w.protocol->events.back() == "lost");
  }
}

WEIR_TEST(
    "LIFE-006 a listening socket and a connection can be closed in the same callback, in either order") {
  for (const bool server_first : {false, true}) {
    Ref<Server> server;
    auto protocol = make_ref<Recorder>();
    protocol->on_data = [&] {
      if (server_first) {
        server->close();
      }
      protocol->transport->close();
      if (!server_first) {
        server->close();
      }
    };
    server = co_await loop.create_server([&] { return protocol; }, {.host = "127.0.0.1"});
    Socket client = co_await connect_to(loop, server->sockets()[0].local_address());
    co_await loop.sock_sendall(client, "x");
    co_await server->wait_closed();
    CHECK(protocol->lost == 1);
    CHECK(protocol->count("data") == 1);
  }
}

WEIR_TEST("LIFE-007 throwing from any callback leaves the loop and the object in a defined state") {
  const auto raise = [] { throw std::domain_error("thrown"); };
  // Timer, ready callback, done-callback.
  loop.call_later(1ms, raise);
  loop.call_soon(raise);
  Future<void> future = loop.create_future<void>();
  future.add_done_callback([](const Future<void>&) { throw std::domain_error("thrown"); });
  future.set_result();
  co_await sleep(2ms);
  CHECK(env.take_reports().size() == 3);

  // Every callback of a protocol, one after the other; connection_lost comes all the same.
  for (const std::string callback : {"made", "data", "eof", "pause", "resume", "lost"}) {
    CAPTURE(callback);
    auto protocol = make_ref<Recorder>();
    if (callback == "made") {
      protocol->on_made = raise;
    } else if (callback == "data") {
      protocol->on_data = raise;
    } else if (callback == "eof") {
      protocol->on_eof = []() -> bool { throw std::domain_error("thrown"); };
    } else if (callback == "pause") {
      protocol->on_pause = raise;
    } else if (callback == "resume") {
      protocol->on_resume = raise;
    } else {
      protocol->on_lost = raise;
    }
    auto w = co_await wire(loop, protocol, true);
    const std::string written = clog(*w.transport);
    co_await read_exactly(loop, w.peer->socket(), written.size());
    co_await until([&] { return w.transport->get_write_buffer_size() == 0; });
    co_await loop.sock_sendall(w.peer->socket(), "x");
    co_await settle(loop);
    w.peer->socket().shutdown_write();
    co_await until([&] { return protocol->lost == 1; });
    const std::vector<Report> reports = env.take_reports();
    REQUIRE(reports.size() == 1);
    CHECK(message_of(reports[0].exception) == "thrown");
    protocol->transport.reset();
  }

  // A reader: reported, still watched.
  auto s = co_await connected_sockets(loop);
  loop.add_writer(s.near, raise);
  co_await settle(loop);
  CHECK(loop.remove_writer(s.near));
  CHECK(env.take_reports().size() >= 1);
}

TEST_CASE(
    "DBG-007 a transport still open when its loop closes is reported and closed, without connection_lost") {
  Env env;
  Ref<Recorder> kept;
  int destroyed = 0;
  std::vector<Socket> far_kept;
  {
    EventLoop loop;
    env.watch(loop);
    const auto body = [](EventLoop& l, Ref<Recorder>& protocol, int& count,
                         std::vector<Socket>& far) -> Coro<void> {
      auto w = co_await wire(l, true);
      clog(*w.transport);  // an operation is in flight, too
      protocol = w.protocol;
      far.push_back(std::move(w.peer->socket()));
      auto other = co_await connected_sockets(l);
      const auto factory = [&] { return make_ref<LetsGo>("", count); };
      co_await l.create_connection(factory, {.sock = &other.near});
      far.push_back(std::move(other.far));
    };
    loop.run_until_complete(body(loop, kept, destroyed, far_kept));
    CHECK(destroyed == 0);
    loop.close();
    CHECK(destroyed == 1);
    env.expect_log("unclosed transport");
    env.expect_log("unclosed transport");
    CHECK(env.take_logs().empty());
    CHECK(kept->lost == 0);
    // What is left of it does nothing.
    Transport& transport = *kept->transport;
    CHECK(transport.is_closing());
    CHECK(transport.get_protocol() == nullptr);
    transport.close();
    transport.abort();
    transport.pause_reading();
    transport.resume_reading();
    transport.write("x");
    transport.write_eof();
    CHECK(transport.get_write_buffer_size() == 0);
    CHECK(!transport.get_extra_info<extra::socket>());
    CHECK(transport.get_extra_info<extra::peername>());
  }
  kept->transport->close();  // and the loop object is gone
  kept->transport.reset();
  far_kept.clear();
}

TEST_CASE("DBG-007 a transport that is closing already is released without a warning") {
  Env env;
  auto kept = make_ref<Recorder>();
  {
    EventLoop loop;
    env.watch(loop);
    Socket far;
    loop.run_until_complete([](EventLoop& l, Ref<Recorder> protocol, Socket& other) -> Coro<void> {
      auto w = co_await wire(l, protocol);
      other = std::move(w.peer->socket());
    }(loop, kept, far));
    kept->transport->close();
    loop.close();
  }
  CHECK(kept->lost == 0);
  kept->transport.reset();
}

TEST_CASE("LIFE: a server still serving when its loop closes is reported and closed") {
  Env env;
  Ref<Server> server;
  std::vector<Ref<Recorder>> made;
  Socket client;
  {
    EventLoop loop;
    env.watch(loop);
    loop.run_until_complete([](EventLoop& l, Ref<Server>& out, std::vector<Ref<Recorder>>& protocols,
                               Socket& socket) -> Coro<void> {
      const auto factory = [&protocols] { return protocols.emplace_back(make_ref<Recorder>()); };
      out = co_await l.create_server(factory, {.host = "127.0.0.1"});
      socket = co_await connect_to(l, out->sockets()[0].local_address());
      co_await until([&] { return protocols.size() == 1; });
    }(loop, server, made, client));
  }
  env.expect_log("unclosed server");
  env.expect_log("unclosed transport");
  CHECK(!server->is_serving());
  CHECK(server->sockets().empty());
  CHECK(made[0]->lost == 0);
  server->close();
  server->close_clients();
  server.reset();
  made[0]->transport.reset();
}

namespace {

// Uses everything it has on its way out, which is while the loop closes.
class UsesAllAtTheEnd {
 public:
  UsesAllAtTheEnd(EventLoop& loop, Ref<Transport> transport, Ref<Server> server, Socket& socket)
      : loop_(loop), transport_(std::move(transport)), server_(std::move(server)), socket_(socket) {}
  UsesAllAtTheEnd(const UsesAllAtTheEnd&) = delete;
  UsesAllAtTheEnd& operator=(const UsesAllAtTheEnd&) = delete;
  ~UsesAllAtTheEnd() {
    transport_->write("x");
    transport_->close();
    transport_->abort();
    server_->close_clients();
    server_->close();
    loop_.remove_reader(socket_);
    socket_.close();
  }

 private:
  EventLoop& loop_;
  Ref<Transport> transport_;
  Ref<Server> server_;
  Socket& socket_;
};

Coro<void> wait_with_everything(EventLoop& loop, Ref<Recorder> protocol) {
  SocketPair s = co_await connected_sockets(loop);
  auto [transport, same] = co_await loop.create_connection([&] { return protocol; }, {.sock = &s.near});
  auto server = co_await loop.create_server([] { return make_ref<Recorder>(); }, {.host = "127.0.0.1"});
  loop.add_reader(s.far, [] {});
  const UsesAllAtTheEnd at_the_end(loop, transport, server, s.far);
  loop.stop();
  co_await loop.sock_recv(s.far, 1);
}

}  // namespace

TEST_CASE("LIFE-008 close, abort and the rest do nothing in a destructor that runs while the loop closes") {
  Env env;
  auto protocol = make_ref<Recorder>();
  {
    EventLoop loop;
    env.watch(loop);
    auto task = loop.create_task(wait_with_everything(loop, protocol));
    loop.run_forever();
    CHECK(!task.done());
    loop.close();
  }
  CHECK(protocol->lost == 0);
  env.expect_report("destroyed but it is pending");
  env.expect_log("unclosed transport");
  CHECK(env.take_logs().empty());
  protocol->transport.reset();
}
