// TRAN: the life of a stream transport, reading, and ends.
#include "tests/net/net_test.hpp"

#include <array>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

WEIR_TEST("TRAN-001 the order of protocol calls is made, data, eof, lost") {
  auto w = co_await wire(loop);
  const std::string sent = pattern(300'000);
  co_await w.peer->send(sent);
  co_await w.peer->shutdown_write();
  co_await until([&] { return w.protocol->lost != 0; });
  const auto& events = w.protocol->events;
  REQUIRE(events.size() >= 4);
  CHECK(events.front() == "made");
  CHECK(events[events.size() - 2] == "eof");
  CHECK(events.back() == "lost");
  CHECK(w.protocol->count("data") == static_cast<int>(events.size()) - 3);
  CHECK(w.protocol->received == sent);
  co_await settle(loop);
  CHECK(w.protocol->lost == 1);
}

WEIR_TEST("TRAN-002 connection_lost gets an error unless it was closed here or ended cleanly") {
  auto local = co_await wire(loop);
  local.transport->close();
  CHECK(co_await local.peer->read_all() == "");
  co_await until([&] { return local.protocol->lost != 0; });
  CHECK(!local.protocol->error);

  auto remote = co_await wire(loop);
  co_await remote.peer->close();
  co_await until([&] { return remote.protocol->lost != 0; });
  CHECK(!remote.protocol->error);

  auto reset = co_await wire(loop);
  reset.peer->reset();
  co_await until([&] { return reset.protocol->lost != 0; });
  CHECK(reset.protocol->error);
}

WEIR_TEST("TRAN-003 connection_lost is never called from inside close, abort or write") {
  auto closed = co_await wire(loop);
  closed.transport->close();
  CHECK(closed.protocol->lost == 0);
  auto aborted = co_await wire(loop);
  aborted.transport->abort();
  CHECK(aborted.protocol->lost == 0);
  auto broken = co_await wire(loop);
  broken.transport->pause_reading();
  broken.peer->reset();
  co_await settle(loop);
  for (int i = 0; i != 10 && !broken.transport->is_closing(); ++i) {
    broken.transport->write("x");
    CHECK(broken.protocol->lost == 0);
    if (!broken.transport->is_closing()) {
      co_await settle(loop);
    }
  }
  CHECK(co_await closed.peer->read_all() == "");
  co_await until([&] { return closed.protocol->lost + aborted.protocol->lost + broken.protocol->lost == 3; });
}

WEIR_TEST("TRAN-004 close stops reading, flushes what is buffered, then closes") {
  auto w = co_await wire(loop, true);
  const std::string written = clog(*w.transport);
  w.transport->close();
  // The system may reset a connection that is closed with unread bytes; the flushed ones have arrived by
  // then.
  if (machine_has(Trait::bytes_before_reset)) {
    co_await w.peer->send("too late");
  }
  const std::string read = co_await w.peer->read_exactly(written.size());
  CHECK(read == written);
  CHECK(co_await w.peer->read_rest() == "");
  co_await until([&] { return w.protocol->lost != 0; });
  CHECK(w.protocol->received.empty());
  CHECK(!w.protocol->error);
}

WEIR_TEST("TRAN-005 abort drops what is buffered, and connection_lost gets no error") {
  auto w = co_await wire(loop, true);
  const std::string written = clog(*w.transport);
  w.transport->abort();
  CHECK(w.transport->get_write_buffer_size() == 0);
  co_await until([&] { return w.protocol->lost != 0; });
  CHECK(!w.protocol->error);
  const std::string read = co_await w.peer->read_rest();
  CHECK(read.size() < written.size());
  CHECK(written.starts_with(read));
}

WEIR_TEST("TRAN-006 close and abort may be called repeatedly and in either order") {
  auto first = co_await wire(loop, true);
  clog(*first.transport);
  first.transport->close();
  first.transport->close();
  first.transport->abort();
  first.transport->abort();
  first.transport->close();
  auto second = co_await wire(loop);
  second.transport->abort();
  second.transport->close();
  second.transport->abort();
  co_await until([&] { return first.protocol->lost != 0 && second.protocol->lost != 0; });
  first.transport->close();
  second.transport->abort();
  co_await settle(loop);
  CHECK(first.protocol->lost == 1);
  CHECK(second.protocol->lost == 1);
}

WEIR_TEST("TRAN-007 is_closing is true from close, abort or the loss on") {
  auto closed = co_await wire(loop);
  CHECK(!closed.transport->is_closing());
  closed.transport->close();
  CHECK(closed.transport->is_closing());
  auto aborted = co_await wire(loop);
  CHECK(!aborted.transport->is_closing());
  aborted.transport->abort();
  CHECK(aborted.transport->is_closing());
  auto lost = co_await wire(loop);
  bool closing_when_lost = false;
  lost.protocol->on_lost = [&] { closing_when_lost = lost.transport->is_closing(); };
  CHECK(!lost.transport->is_closing());
  lost.peer->reset();
  co_await until([&] { return lost.protocol->lost != 0; });
  CHECK(closing_when_lost);
  CHECK(lost.transport->is_closing());
  CHECK(co_await closed.peer->read_all() == "");
  co_await until([&] { return closed.protocol->lost + aborted.protocol->lost == 2; });
}

WEIR_TEST("TRAN-018 at the end of file the protocol decides whether the transport closes") {
  auto closes = co_await wire(loop);
  co_await closes.peer->shutdown_write();
  co_await until([&] { return closes.protocol->lost != 0; });
  CHECK(closes.protocol->count("eof") == 1);

  auto stays = co_await wire(loop);
  stays.protocol->on_eof = [] { return true; };
  co_await stays.peer->shutdown_write();
  co_await until([&] { return stays.protocol->count("eof") == 1; });
  if (over_tls()) {  // whose connections do not stay half open
    CHECK(stays.transport->is_closing());
    CHECK(co_await stays.peer->read_all() == "");
    co_await until([&] { return stays.protocol->lost == 1; });
    CHECK(!stays.protocol->error);
    co_return;
  }
  co_await settle(loop);
  CHECK(stays.protocol->lost == 0);
  CHECK(!stays.transport->is_closing());
  // Neither does reading again bring a second end.
  stays.transport->pause_reading();
  stays.transport->resume_reading();
  stays.transport->write("still here");
  stays.transport->close();
  CHECK(co_await stays.peer->read_all() == "still here");
  co_await until([&] { return stays.protocol->lost != 0; });
  CHECK(stays.protocol->count("eof") == 1);
}

WEIR_TEST("TRAN-019 a reset by the peer comes as connection_lost with that error") {
  auto w = co_await wire(loop);
  w.peer->reset();
  co_await until([&] { return w.protocol->lost != 0; });
  CHECK(w.protocol->code() == std::errc::connection_reset);
  CHECK(w.protocol->count("eof") == 0);
}

WEIR_TEST("TRAN-021 an exception of data_received or eof_received is reported and closes with it") {
  auto data = co_await wire(loop);
  data.protocol->on_data = [] { throw std::domain_error("data"); };
  co_await data.peer->send("x");
  co_await until([&] { return data.protocol->lost != 0; });
  CHECK(message_of(data.protocol->error) == "data");
  CHECK(message_of(env.expect_report("data_received").exception) == "data");

  auto eof = co_await wire(loop);
  eof.protocol->on_eof = []() -> bool { throw std::domain_error("eof"); };
  co_await eof.peer->shutdown_write();
  co_await until([&] { return eof.protocol->lost != 0; });
  CHECK(message_of(eof.protocol->error) == "eof");
  CHECK(message_of(env.expect_report("eof_received").exception) == "eof");
}

WEIR_TEST("TRAN-022 pause_reading and resume_reading stop and start data_received") {
  auto w = co_await wire(loop);
  CHECK(w.transport->is_reading());
  w.transport->pause_reading();
  w.transport->pause_reading();
  CHECK(!w.transport->is_reading());
  co_await w.peer->send("hello");
  co_await settle(loop);
  CHECK(w.protocol->received.empty());
  w.transport->resume_reading();
  w.transport->resume_reading();
  CHECK(w.transport->is_reading());
  co_await until([&] { return w.protocol->received == "hello"; });
  // From inside data_received, too.
  w.protocol->on_data = [&] { w.transport->pause_reading(); };
  auto sending = w.peer->start_sending(pattern(200'000));
  co_await until([&] { return !w.transport->is_reading(); });
  const std::size_t size = w.protocol->received.size();
  co_await settle(loop);
  CHECK(w.protocol->received.size() == size);
  w.protocol->on_data = nullptr;
  w.transport->resume_reading();
  co_await until([&] { return w.protocol->received.size() == 200'005; });
  co_await sending;
  co_await finish(w);
}

WEIR_TEST("TRAN-023 pause_reading inside connection_made comes before any data") {
  SocketPair sockets = co_await connected_sockets(loop);
  co_await loop.sock_sendall(sockets.far, "early");
  co_await settle(loop);
  auto protocol = make_ref<Recorder>();
  protocol->on_made = [&] { protocol->transport->pause_reading(); };
  auto [transport, same] = co_await loop.create_connection([&] { return protocol; }, {.sock = &sockets.near});
  co_await settle(loop);
  CHECK(protocol->events == std::vector<std::string>{"made"});
  transport->resume_reading();
  co_await until([&] { return protocol->received == "early"; });
  transport->close();
  co_await until([&] { return protocol->lost != 0; });
}

// Issue 3: reading was begun twice.
WEIR_TEST("TRAN-023 resume_reading inside connection_made, after pause_reading, begins to read once") {
  auto protocol = make_ref<Recorder>();
  protocol->on_made = [&] {
    protocol->transport->pause_reading();
    protocol->transport->resume_reading();
  };
  auto w = co_await wire(loop, protocol);
  CHECK(w.transport->is_reading());
  co_await w.peer->send("one");
  co_await until([&] { return protocol->received == "one"; });
  w.transport->pause_reading();
  co_await w.peer->send("two");
  co_await settle(loop);
  CHECK(protocol->received == "one");
  co_await finish(w);
}

WEIR_TEST("TRAN-024 pause_reading and resume_reading on a closing transport do nothing") {
  auto w = co_await wire(loop, true);
  clog(*w.transport);
  w.transport->close();
  w.transport->pause_reading();
  w.transport->resume_reading();
  CHECK(!w.transport->is_reading());
  co_await w.peer->send("late");
  co_await settle(loop);
  CHECK(w.protocol->received.empty());
  w.transport->abort();
  w.transport->resume_reading();
  co_await until([&] { return w.protocol->lost != 0; });
  w.transport->resume_reading();
  w.transport->pause_reading();
  co_await settle(loop);
  CHECK(w.protocol->events.back() == "lost");
}

namespace {

struct unheard_of {
  using type = int;
  static constexpr std::string_view name = "unheard_of";
};

}  // namespace

WEIR_TEST("TRAN-025 get_extra_info gives socket, socket name and peer name") {
  auto w = co_await wire(loop);
  const Address near = w.peer->socket().peer_address();
  const Address far = w.peer->socket().local_address();
  CHECK(w.transport->get_extra_info<extra::sockname>() == near);
  CHECK(w.transport->get_extra_info<extra::peername>() == far);
  const auto socket = w.transport->get_extra_info<extra::socket>();
  REQUIRE(socket);
  CHECK(socket->local_address() == near);
  CHECK(!w.transport->get_extra_info<unheard_of>());
  CHECK(w.transport->get_extra_info<unheard_of>().value_or(7) == 7);
  std::optional<Address> peer_when_lost, own_when_lost;
  w.protocol->on_lost = [&] {
    peer_when_lost = w.transport->get_extra_info<extra::peername>();
    own_when_lost = w.transport->get_extra_info<extra::sockname>();
  };
  co_await finish(w);
  CHECK(peer_when_lost == far);
  CHECK(own_when_lost == near);
  CHECK(w.transport->get_extra_info<extra::peername>() == far);
  CHECK(!w.transport->get_extra_info<extra::socket>());
}

WEIR_TEST("TRAN-026 set_protocol switches where the calls go") {
  auto w = co_await wire(loop);
  CHECK(w.transport->get_protocol() == w.protocol);
  co_await w.peer->send("one");
  co_await until([&] { return w.protocol->received == "one"; });

  auto second = make_ref<BufferedRecorder>();
  w.transport->set_protocol(second);
  CHECK(w.transport->get_protocol() == second);
  co_await w.peer->send("two");
  co_await until([&] { return second->received == "two"; });

  auto third = make_ref<Recorder>();
  second->on_data = [&] { w.transport->set_protocol(third); };
  co_await w.peer->send(pattern(5000));
  co_await until([&] { return second->received.size() + third->received.size() == 5003; });
  CHECK(second->counts.size() > 0);
  CHECK((second->received + third->received).substr(3) == pattern(5000));
  CHECK(w.protocol->received == "one");
  CHECK_THROWS_AS(w.transport->set_protocol(nullptr), std::invalid_argument);

  w.transport->close();
  CHECK(co_await w.peer->read_all() == "");
  co_await until([&] { return third->lost != 0; });
  CHECK(w.protocol->lost + second->lost == 0);
  CHECK(third->count("made") == 0);
  CHECK(w.transport->get_protocol() == nullptr);
  w.protocol->transport.reset();  // it was never told
}

WEIR_TEST("TRAN-026 set_protocol inside get_buffer") {
  auto w = co_await wire(loop, make_ref<BufferedRecorder>());
  auto next = make_ref<Recorder>();
  w.protocol->on_get_buffer = [&]() -> std::span<std::byte> {
    w.transport->set_protocol(next);
    return w.protocol->memory;
  };
  co_await w.peer->send("to the new one");
  co_await until([&] { return next->received == "to the new one"; });
  CHECK(w.protocol->received.empty());
  w.transport->close();
  CHECK(co_await w.peer->read_all() == "");
  co_await until([&] { return next->lost != 0; });
  w.protocol->transport.reset();
}

WEIR_TEST("TRAN-026 set_protocol inside get_buffer, with more than one read and the end to come") {
  for (const std::size_t size : {std::size_t{5}, std::size_t{200'000}}) {
    auto w = co_await wire(loop, make_ref<BufferedRecorder>());
    auto next = make_ref<Recorder>();
    w.protocol->on_get_buffer = [&]() -> std::span<std::byte> {
      w.transport->set_protocol(next);
      return w.protocol->memory;
    };
    auto sending = w.peer->start_sending(pattern(size));
    co_await sending;
    co_await w.peer->shutdown_write();
    co_await until([&] { return next->lost != 0; });
    CHECK(next->received == pattern(size));
    CHECK(next->count("eof") == 1);
    w.protocol->transport.reset();
  }
}

WEIR_TEST("TRAN-027 closing the transport inside data_received stops delivery") {
  for (const bool abort : {false, true}) {
    auto w = co_await wire(loop);
    w.protocol->on_data = [&] { abort ? w.transport->abort() : w.transport->close(); };
    auto sending = w.peer->start_sending(pattern(2'000'000));  // it will be reset: nobody reads it
    co_await until([&] { return w.protocol->lost != 0; });
    co_await sending;
    CHECK(w.protocol->count("data") == 1);
    CHECK(w.protocol->events.back() == "lost");
  }
}

namespace {

// Tells when it is destroyed.
class Mortal final : public Protocol {
 public:
  explicit Mortal(std::vector<std::string>& log) : log_(log) {}
  void connection_made(Ref<Transport>) override { log_.push_back("made"); }
  void connection_lost(std::exception_ptr) override { log_.push_back("lost"); }

 protected:
  ~Mortal() override { log_.push_back("destroyed"); }

 private:
  std::vector<std::string>& log_;
};

}  // namespace

WEIR_TEST("TRAN-029 a transport keeps itself and its protocol until connection_lost has run") {
  std::vector<std::string> log;
  SocketPair sockets = co_await connected_sockets(loop);
  co_await loop.create_connection([&] { return make_ref<Mortal>(log); }, {.sock = &sockets.near});
  co_await settle(loop);
  CHECK(log == std::vector<std::string>{"made"});
  sockets.far.close();
  co_await until([&] { return log.size() == 3; });
  CHECK(log == std::vector<std::string>{"made", "lost", "destroyed"});

  // A transport that is still referred to has let go of its protocol, and of its socket, too.
  log.clear();
  SocketPair more = co_await connected_sockets(loop);
  Ref<Transport> kept;
  {
    auto [transport, protocol] =
        co_await loop.create_connection([&] { return make_ref<Mortal>(log); }, {.sock = &more.near});
    kept = transport;
  }
  kept->close();
  CHECK(log == std::vector<std::string>{"made"});
  co_await until([&] { return log.size() >= 2; });
  CHECK(log == std::vector<std::string>{"made", "lost", "destroyed"});
  CHECK(co_await read_all(loop, more.far) == "");
}

namespace {

// Held by a connection's context: what it does when it goes.
struct AtEnd {
  std::function<void()> act;
  ~AtEnd() { act(); }
};
const ContextVar<std::shared_ptr<AtEnd>> held_by_connection("held_by_connection");

// Sets a variable in the context of its connection.
class Holder final : public Protocol {
 public:
  explicit Holder(std::shared_ptr<AtEnd> held) : held_(std::move(held)) {}
  void connection_made(Ref<Transport>) override { held_by_connection.set(std::move(held_)); }
  void data_received(std::span<const std::byte>) override {}
  void connection_lost(std::exception_ptr) override {}

 private:
  std::shared_ptr<AtEnd> held_;
};

}  // namespace

WEIR_TEST("LIFE-001 the last reference to a closed server goes with its last connection's context") {
  Ref<Server> server;
  bool gone = false;
  auto held = std::make_shared<AtEnd>();
  held->act = [&] {
    server.reset();
    gone = true;
  };
  const ServerOptions options{.host = "127.0.0.1", .port = 0};
  server = co_await loop.create_server([&] { return make_ref<Holder>(std::move(held)); }, options);
  Socket client = Socket::open(AddressFamily::inet);
  co_await loop.sock_connect(client, server->sockets().front().local_address());
  co_await until([&] { return held == nullptr; });
  server->close();
  client.close();
  co_await until([&] { return gone; });
  CHECK(server == nullptr);
}

WEIR_TEST("SOCK-015 a transport is refused on a socket with a pending operation, which goes on") {
  auto [near, far] = Socket::pair();
  const auto receive = [](EventLoop& on, Socket& from) -> Coro<Bytes> {
    co_return co_await on.sock_recv(from, 16);
  };
  Task<Bytes> receiving = loop.create_task(receive(loop, near));
  co_await sleep(std::chrono::milliseconds(1));
  const ConnectionOptions options{.sock = &near};
  bool refused = false;
  try {
    co_await loop.create_connection([] { return make_ref<Recorder>(); }, options);
  } catch (const RuntimeError&) {
    refused = true;
  }
  CHECK(refused);
  bool ended = false;
  try {
    co_await receiving;  // the refused call has closed the socket that it was given
  } catch (const std::system_error&) {
    ended = true;
  }
  CHECK(ended);
}
