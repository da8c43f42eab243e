// LIFE-001, LIFE-002, LIFE-007 for every callback of both kinds of protocol.
#include "tests/net/net_test.hpp"

using namespace weir;
using namespace weir::testing;

namespace {

// Does in the callback of this name what it is told, once; echoes nothing, keeps nothing.
template <class Base>
class At : public Base {
 public:
  At(std::string callback, std::function<void(At&)> action, std::vector<std::string>& events, int& destroyed)
      : callback_(std::move(callback)), action_(std::move(action)), events_(events), destroyed_(destroyed) {}
  void connection_made(Ref<Transport> made) override {
    transport = std::move(made);
    at("made");
  }
  void connection_lost(std::exception_ptr) override {
    const Ref<Transport> last = std::move(transport);
    at("lost");
  }
  void pause_writing() override { at("pause"); }
  void resume_writing() override { at("resume"); }
  bool eof_received() override {
    at("eof");
    return false;
  }

  Ref<Transport> transport;

 protected:
  ~At() override { ++destroyed_; }
  void at(const std::string& here) {
    events_.push_back(here);
    if (here == callback_ && action_) {
      std::exchange(action_, nullptr)(*this);
    }
  }

 private:
  std::string callback_;
  std::function<void(At&)> action_;
  std::vector<std::string>& events_;
  int& destroyed_;
};

class AtStream final : public At<Protocol> {
 public:
  using At::At;
  void data_received(std::span<const std::byte>) override { at("data"); }
};

class AtBuffered final : public At<BufferedProtocol> {
 public:
  using At::At;
  std::span<std::byte> get_buffer(std::size_t) override {
    at("get_buffer");
    return memory_;
  }
  void buffer_updated(std::size_t) override { at("data"); }

 private:
  std::byte memory_[100];
};

// Leads a connection through all its callbacks: written until full, drained, one byte received, ended.
template <class P>
Coro<void> lead_through(EventLoop& loop, Ref<P> protocol, const int& destroyed,
                        const std::vector<std::string>& events) {
  SocketPair s = co_await connected_sockets(loop, true);
  {
    auto factory = [held = std::move(protocol)] { return held; };
    const auto made = co_await loop.create_connection(std::move(factory), {.sock = &s.near});
    made.first->set_write_buffer_limits(0);
    const std::string piece = pattern(100'000);
    for (int i = 0; i != 100 && !made.first->is_closing() && made.first->get_write_buffer_size() == 0; ++i) {
      made.first->write(piece);
    }
  }
  Task<std::string> reading = loop.create_task(read_rest(loop, s.far));
  co_await until([&] {
    return destroyed == 1 || reading.done() ||
           std::find(events.begin(), events.end(), "resume") != events.end();
  });
  try {
    co_await loop.sock_sendall(s.far, "x");
    co_await settle(loop);
    s.far.shutdown_write();
  } catch (const std::system_error&) {
    // It is closed already.
  }
  co_await reading;
  co_await until([&] { return destroyed == 1; });
}

const std::vector<std::string> all_callbacks = {"made",  "get_buffer", "data", "eof",
                                                "pause", "resume",     "lost"};

template <class P, class Base>
Coro<void> try_every_callback(EventLoop& loop, Env& env, std::function<void(At<Base>&)> action,
                              bool reports) {
  for (const std::string& callback : all_callbacks) {
    if (callback == "get_buffer" && std::is_same_v<P, AtStream>) {
      continue;
    }
    INFO("in the callback " << callback);
    int destroyed = 0;
    std::vector<std::string> events;
    auto protocol = make_ref<P>(callback, action, events, destroyed);
    co_await lead_through(loop, std::move(protocol), destroyed, events);
    CHECK(std::count(events.begin(), events.end(), callback) >= 1);
    CHECK(std::count(events.begin(), events.end(), "lost") == 1);
    CHECK(events.back() == "lost");
    CHECK(env.take_reports().size() == (reports ? 1 : 0));
  }
}

}  // namespace

WEIR_TEST("LIFE-001 the last reference to a transport may go in any callback, of either kind of protocol") {
  const auto let_go = [](auto& protocol) {
    const Ref<Transport> last = std::move(protocol.transport);
    if (last != nullptr) {
      last->abort();
    }
  };
  co_await try_every_callback<AtStream, Protocol>(loop, env, let_go, false);
  co_await try_every_callback<AtBuffered, BufferedProtocol>(loop, env, let_go, false);
}

WEIR_TEST("LIFE-001 another protocol may take the place of the one that is called, in any callback") {
  // The one that goes is destroyed as soon as its call returns; its successor is told the end.
  for (const std::string& callback : all_callbacks) {
    INFO("in the callback " << callback);
    int destroyed = 0;
    std::vector<std::string> events;
    auto successor = make_ref<Recorder>();
    const auto replace = [&](At<BufferedProtocol>& protocol) {
      const Ref<Transport> transport = std::move(protocol.transport);
      if (transport != nullptr) {
        transport->set_protocol(successor);
      }
    };
    auto protocol = make_ref<AtBuffered>(callback, replace, events, destroyed);
    co_await lead_through(loop, std::move(protocol), destroyed, events);
    co_await until([&] { return callback == "lost" || successor->lost == 1; });
    CHECK(std::count(events.begin(), events.end(), "lost") == (callback == "lost" ? 1 : 0));
    CHECK(successor->count("made") == 0);
  }
}

WEIR_TEST("LIFE-002 final callbacks come in the order of closing, whoever made the connection") {
  std::vector<int> order;
  std::vector<Ref<Transport>> transports;
  auto factory = [&] {
    auto protocol = make_ref<Recorder>();
    protocol->on_made = [&transports, raw = protocol.get()] { transports.push_back(raw->transport); };
    return protocol;
  };
  const Ref<Server> server = co_await loop.create_server(factory, {.host = "127.0.0.1"});
  const std::string host = address_of(server).host();
  const ConnectionOptions options{.host = host, .port = address_of(server).port()};
  for (std::size_t i = 1; i != 4; ++i) {
    co_await loop.create_connection(factory, options);
    co_await until([&] { return transports.size() == 2 * i; });
  }
  REQUIRE(transports.size() == 6);
  // Both ends of each connection are closed in one turn.
  std::vector<int> closed;
  for (const std::size_t i : {3U, 0U, 5U, 1U, 4U, 2U}) {
    const Ref<BaseProtocol> protocol = transports[i]->get_protocol();
    static_cast<Recorder&>(*protocol).on_lost = [&order, i] { order.push_back(static_cast<int>(i)); };
    closed.push_back(static_cast<int>(i));
    i % 2 == 0 ? transports[i]->close() : transports[i]->abort();
  }
  CHECK(order.empty());
  co_await until([&] { return order.size() == 6; });
  CHECK(order == closed);
  co_await server->aclose();
}

WEIR_TEST("LIFE-007 an exception from any callback of either kind of protocol is reported once") {
  const auto raise = [](auto&) { throw std::domain_error("thrown"); };
  co_await try_every_callback<AtStream, Protocol>(loop, env, raise, true);
  co_await try_every_callback<AtBuffered, BufferedProtocol>(loop, env, raise, true);
}

WEIR_TEST("LIFE-007 a factory, a task, a generator and the exception handler may throw") {
  // The factory costs its connection, and the server goes on.
  int calls = 0;
  Made made;
  const auto factory = [&] {
    if (++calls == 1) {
      throw std::domain_error("thrown");
    }
    return made.factory()();
  };
  const Ref<Server> server = co_await loop.create_server(factory, {.host = "127.0.0.1"});
  Socket first = co_await connect_to(loop, address_of(server));
  co_await read_rest(loop, first);
  env.expect_report("creation for incoming connection");
  Socket second = co_await connect_to(loop, address_of(server));
  co_await until([&] { return made.all.size() == 1 && made.all[0]->transport != nullptr; });
  second.close();
  co_await stop_server(server);

  // A task keeps its exception for whoever asks; a generator is over.
  const auto throwing = []() -> Coro<int> {
    co_await sleep(Duration::zero());
    throw std::domain_error("thrown");
  };
  Task<int> task = loop.create_task(throwing());
  co_await until([&] { return task.done(); });
  CHECK(message_of(task.exception()) == "thrown");
  const auto items = []() -> AsyncGenerator<int> {
    co_yield 1;
    throw std::domain_error("thrown");
  };
  AsyncGenerator<int> generator = items();
  auto item = co_await generator.next();
  CHECK(item == 1);
  bool thrown = false;
  try {
    item = co_await generator.next();
  } catch (const std::domain_error&) {
    thrown = true;
  }
  CHECK(thrown);
  item = co_await generator.next();
  CHECK(!item);

  // The handler's own is logged, together with what it was called for.
  loop.set_exception_handler([](EventLoop&, const ExceptionContext&) { throw std::domain_error("thrown"); });
  loop.call_soon([] { throw std::runtime_error("the original"); });
  co_await sleep(Duration::zero());
  env.watch(loop);
  const std::vector<LogLine> lines = env.take_logs();
  CHECK(!lines.empty());
}
