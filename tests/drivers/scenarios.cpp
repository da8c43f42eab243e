// The scenarios. A rule that all keep: whoever starts something ends it, also on the way out of an exception.
#include "tests/drivers/scenarios.hpp"

#include "tests/drivers/protocols.hpp"
#include "tests/drivers/unix_scenarios.hpp"

#include <weir/weir.hpp>

#include <chrono>
#include <exception>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace weir::testing {

namespace {

using namespace std::chrono_literals;

// --- Helpers
// -----------------------------------------------------------------------------------------------

// The far end of every socket scenario: sends the text, in one part or two, and gives what comes back.
Coro<std::string> converse(Stage& stage, Socket& socket) {
  const Guard guard(stage.guards);
  std::string answer;
  const std::size_t first = stage.split == 0 ? travelling_text.size() : stage.split;
  co_await stage.loop.sock_sendall(socket, travelling_text.substr(0, first));
  while (stage.split != 0 && answer.size() < first) {
    const Bytes piece = co_await stage.loop.sock_recv(socket, 64);
    if (piece.empty()) {
      co_return answer;
    }
    answer += piece.view();
  }
  co_await stage.loop.sock_sendall(socket, travelling_text.substr(first));
  socket.shutdown_write();
  for (;;) {
    const Bytes piece = co_await stage.loop.sock_recv(socket, 64);
    if (piece.empty()) {
      co_return answer;
    }
    answer += piece.view();
  }
}

Coro<std::string> talk_to(Stage& stage, Address address) {
  const Guard guard(stage.guards);
  Socket socket = Socket::open(address.family());
  co_await stage.loop.sock_connect(socket, address);
  co_return co_await converse(stage, socket);
}

// Ends a server, then gives what `client` gave.
Coro<std::string> with_server(Ref<Server> server, Coro<std::string> client) {
  std::string result;
  std::exception_ptr error;
  try {
    result = co_await std::move(client);
  } catch (...) {
    error = std::current_exception();
  }
  server->close();
  server->abort_clients();
  co_await server->wait_closed();
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  co_return result;
}

template <class P>
Coro<Ref<Server>> serve_with(Stage& stage) {
  auto factory = [&stage] { return make_ref<P>(stage); };
  co_return co_await stage.loop.create_server(factory, {.host = "127.0.0.1"});
}

Address address_of_first(const Ref<Server>& server) { return server->sockets().at(0).local_address(); }

Socket listen_somewhere() {
  Socket listener = Socket::open(AddressFamily::inet);
  listener.bind(Address::loopback(AddressFamily::inet, 0));
  listener.listen();
  return listener;
}

// --- Scenarios
// ---------------------------------------------------------------------------------------------

Coro<void> accept_one(Stage& stage, Socket& listener, int& accepted) {
  const Guard guard(stage.guards);
  const auto connection = co_await stage.loop.sock_accept(listener);
  ++accepted;
}

// sock_connect, create_connection with a socket and by address, and one that is refused.
Coro<std::string> connect(Stage& stage) {
  const Guard guard(stage.guards);
  Socket listener = listen_somewhere();
  const Address address = listener.local_address();
  Socket plain = Socket::open(AddressFamily::inet);
  co_await stage.loop.sock_connect(plain, address);
  auto factory = [&stage] { return make_ref<EchoProtocol>(stage); };
  const std::pair<Ref<Transport>, Ref<EchoProtocol>> given =
      co_await stage.loop.create_connection(factory, {.sock = &plain});
  const std::string host = address.host();
  ConnectionOptions options{.host = host, .port = address.port()};
  options.timeout = 10s;
  const std::pair<Ref<Transport>, Ref<EchoProtocol>> made =
      co_await stage.loop.create_connection(factory, options);
  given.first->abort();
  made.first->close();
  listener.close();
  std::string result = "connected";
  try {
    Socket refused = Socket::open(AddressFamily::inet);
    co_await stage.loop.sock_connect(refused, address);
  } catch (const std::system_error& error) {
    result += error.code() == std::errc::connection_refused ? ", refused" : ", failed";
  }
  co_return result;
}

// A server and clients by name: one address after the other, all of them in a race, and by a socket.
Coro<std::string> connect_by_name(Stage& stage) {
  const Guard guard(stage.guards);
  auto factory = [&stage] { return make_ref<EchoProtocol>(stage); };
  const Ref<Server> server = co_await stage.loop.create_server(factory, {.host = "localhost"});
  const std::uint16_t port = address_of_first(server).port();
  const auto clients = [](Stage& on, std::uint16_t to) -> Coro<std::string> {
    const Guard inner(on.guards);
    auto make = [&on] { return make_ref<EchoProtocol>(on); };
    ConnectionOptions options{.host = "localhost", .port = to};
    const std::pair<Ref<Transport>, Ref<EchoProtocol>> in_turn =
        co_await on.loop.create_connection(make, options);
    options.happy_eyeballs_delay = 0s;
    options.timeout = 10s;
    const std::pair<Ref<Transport>, Ref<EchoProtocol>> raced =
        co_await on.loop.create_connection(make, options);
    Socket plain = Socket::open(AddressFamily::inet);
    co_await on.loop.sock_connect(plain, "localhost", to);
    in_turn.first->abort();
    raced.first->close();
    co_return "connected";
  };
  co_return co_await with_server(server, clients(stage, port));
}

// sock_accept, connect_accepted_socket, and a server.
Coro<std::string> accept_clients(Stage& stage, Ref<Server> server, Socket& listener) {
  const Guard guard(stage.guards);
  int accepted = 0;
  Task<void> accepting = stage.loop.create_task(accept_one(stage, listener, accepted));
  std::vector<Socket> clients(3);
  std::exception_ptr error;
  try {
    for (Socket& client : clients) {
      const bool to_server = &client != &clients[0];
      client = Socket::open(AddressFamily::inet);
      co_await stage.loop.sock_connect(client,
                                       to_server ? address_of_first(server) : listener.local_address());
      if (to_server) {
        co_await stage.loop.sock_sendall(client, "x");
        co_await stage.loop.sock_recv(client, 1);
      }
    }
    co_await accepting;
    const std::pair<Socket, Socket> pair = Socket::pair();
  } catch (...) {
    error = std::current_exception();
  }
  co_await end(accepting);
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  auto factory = [&stage] { return make_ref<EchoProtocol>(stage); };
  auto [near, far] = Socket::pair();
  const std::pair<Ref<Transport>, Ref<EchoProtocol>> adopted =
      co_await stage.loop.connect_accepted_socket(factory, std::move(near), {});
  co_await stage.loop.sock_sendall(far, "y");
  const Bytes answer = co_await stage.loop.sock_recv(far, 1);
  adopted.first->close();
  co_return "accepted " + std::to_string(accepted) + answer.str();
}

Coro<std::string> accept(Stage& stage) {
  Socket listener = listen_somewhere();
  const Ref<Server> server = co_await serve_with<EchoProtocol>(stage);
  co_return co_await with_server(server, accept_clients(stage, server, listener));
}

Coro<std::string> echo_protocol(Stage& stage) {
  const Ref<Server> server = co_await serve_with<EchoProtocol>(stage);
  auto client = [](Stage& on, Address address) -> Coro<std::string> {
    const Guard guard(on.guards);
    auto factory = [&on] { return make_ref<Talker>(on); };
    const std::string host = address.host();
    const ConnectionOptions options{.host = host, .port = address.port()};
    const std::pair<Ref<Transport>, Ref<Talker>> made = co_await on.loop.create_connection(factory, options);
    std::exception_ptr error;
    try {
      co_await made.second->over;
    } catch (...) {
      error = std::current_exception();
    }
    made.first->abort();
    if (error != nullptr) {
      std::rethrow_exception(error);
    }
    co_return made.second->received;
  };
  co_return co_await with_server(server, client(stage, address_of_first(server)));
}

Coro<std::string> echo_buffered(Stage& stage) {
  const Ref<Server> server = co_await serve_with<EchoBuffered>(stage);
  co_return co_await with_server(server, talk_to(stage, address_of_first(server)));
}

Coro<void> echo_back(Stage& stage, Socket& listener) {
  const Guard guard(stage.guards);
  auto [connection, address] = co_await stage.loop.sock_accept(listener);
  // Whoever still comes shall be refused: the conversation ends with this one.
  listener.close();
  std::vector<std::byte> buffer(stage.buffer);
  for (;;) {
    const std::size_t count = co_await stage.loop.sock_recv_into(connection, buffer);
    if (count == 0) {
      co_return;
    }
    const std::span<const std::byte> received = std::span(buffer).first(count);
    co_await stage.loop.sock_sendall(connection, received);
  }
}

Coro<void> echo_back_once(Stage& stage, Socket& listener) {
  std::exception_ptr error;
  try {
    co_await echo_back(stage, listener);
  } catch (...) {
    error = std::current_exception();
  }
  listener.close();
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
}

Coro<std::string> echo_sock(Stage& stage) {
  Socket listener = listen_somewhere();
  const Address address = listener.local_address();
  // Eagerly: one that is cancelled before its first step would not close the listener.
  Task<void> serving = stage.loop.create_task(echo_back_once(stage, listener), {.eager_start = true});
  std::string result;
  std::exception_ptr error;
  try {
    result = co_await talk_to(stage, address);
  } catch (...) {
    error = std::current_exception();
  }
  co_await end(serving);
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  co_return result;
}

// Client, relay, echo: two servers and four transports.
Coro<void> dial(Stage& stage, Ref<Half> down, Address address) {
  const Guard guard(stage.guards);
  auto factory = [&stage, &down] {
    auto up = make_ref<Half>(stage);
    if (down->transport() != nullptr) {
      up->join(*down);
    }
    return up;
  };
  const std::string host = address.host();
  const ConnectionOptions options{.host = host, .port = address.port()};
  try {
    const std::pair<Ref<Transport>, Ref<Half>> made = co_await stage.loop.create_connection(factory, options);
    if (down->transport() != nullptr) {
      down->transport()->resume_reading();
    } else {
      made.first->close();
    }
  } catch (...) {
    if (down->transport() != nullptr) {
      down->transport()->close();
    }
    throw;
  }
}

class Relay final : public RefCounted {
 public:
  Relay(Stage& stage, Address to) : stage_(stage), to_(to) {}
  Ref<Half> down() {
    auto half = make_ref<Half>(stage_);
    tasks_.push_back(stage_.loop.create_task(start(half)));
    return half;
  }
  std::vector<Task<void>> tasks() { return std::exchange(tasks_, {}); }

 private:
  Coro<void> start(Ref<Half> half) {
    const Ref<Relay> self(this);
    if (half->transport() != nullptr) {
      half->transport()->pause_reading();
      co_await dial(stage_, half, to_);
    }
  }

  Stage& stage_;
  Address to_;
  std::vector<Task<void>> tasks_;
};

Coro<std::string> talk_through(Stage& stage, Ref<Server> echo) {
  const Guard guard(stage.guards);
  auto relay = make_ref<Relay>(stage, address_of_first(echo));
  auto factory = [relay] { return relay->down(); };
  const Ref<Server> server = co_await stage.loop.create_server(factory, {.host = "127.0.0.1"});
  std::string result;
  std::exception_ptr error;
  try {
    result = co_await with_server(server, talk_to(stage, address_of_first(server)));
  } catch (...) {
    error = std::current_exception();
  }
  for (const Task<void>& task : relay->tasks()) {
    co_await end(task);
  }
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  co_return result;
}

Coro<std::string> relay(Stage& stage) {
  const Ref<Server> echo = co_await serve_with<EchoBuffered>(stage);
  co_return co_await with_server(echo, talk_through(stage, echo));
}

// Jobs on threads: one with a value, one that throws, one that nobody waits for.
Coro<std::string> executor(Stage& stage) {
  const Guard guard(stage.guards);
  stage.executor = std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.max_workers = 2});
  Executor* const pool = stage.executor.get();
  Future<int> value = stage.loop.run_in_executor(pool, [held = Guard(stage.guards)] { return 20; });
  Future<void> failing =
      stage.loop.run_in_executor(pool, [held = Guard(stage.guards)] { throw std::runtime_error("thrown"); });
  Future<int> forgotten = stage.loop.run_in_executor(pool, [held = Guard(stage.guards)] { return 21; });
  std::string result = std::to_string(co_await value);
  try {
    co_await failing;
  } catch (const std::runtime_error& error) {
    result += std::string(" ") + error.what();
  }
  co_return result;
}

AsyncGenerator<int> count_slowly(Stage& stage, int to) {
  const Guard guard(stage.guards);
  for (int i = 0; i != to; ++i) {
    if (i % 2 == 0) {
      co_await sleep(20us);
    }
    co_yield i;
  }
}

AsyncGenerator<int> doubled(Stage& stage, int to) {
  const Guard guard(stage.guards);
  AsyncGenerator<int> inner = count_slowly(stage, to);
  while (const auto item = co_await inner.next()) {
    co_yield *item * 2;
  }
}

// Generators: one to its end, one closed half-way, one dropped half-way.
Coro<std::string> generator(Stage& stage) {
  const Guard guard(stage.guards);
  int sum = 0;
  {
    AsyncGenerator<int> whole = doubled(stage, 4);
    while (const auto item = co_await whole.next()) {
      sum += *item;
    }
    AsyncGenerator<int> closed = doubled(stage, 4);
    const auto first = co_await closed.next();
    sum += first.value_or(1000);
    co_await closed.aclose();
    AsyncGenerator<int> dropped = doubled(stage, 4);
    const auto second = co_await dropped.next();
    sum += second.value_or(1000);
  }
  co_await stage.loop.shutdown_asyncgens();
  co_return "sum " + std::to_string(sum);
}

// A time limit around a call that does not come back, by the means that asyncio.timeout has.
Coro<std::string> timeout(Stage& stage) {
  const Guard guard(stage.guards);
  const Ref<TaskBase> self = current_task();
  auto [near, far] = Socket::pair();
  const auto expired = std::make_shared<bool>(false);  // the timer may outlive this frame
  TimerHandle limit = stage.loop.call_later(100us, [self, expired, held = Guard(stage.guards)] {
    *expired = true;
    self->cancel("the time is over");
  });
  std::string result = "nothing";
  try {
    const Bytes received = co_await stage.loop.sock_recv(near, 10);
    result = "received";
  } catch (const CancelledError&) {
    if (!*expired || self->uncancel() > 0) {
      limit.cancel();
      throw;
    }
    result = "timed out";
  }
  limit.cancel();
  co_await stage.loop.sock_sendall(far, "alive");
  const Bytes after = co_await stage.loop.sock_recv(near, 10);
  co_return result + (after.empty() ? ", lost" : ", then heard");
}

Coro<void> echo_stream(Stage& stage, Ref<StreamReader> reader, Ref<StreamWriter> writer) {
  const Guard guard(stage.guards);
  std::exception_ptr error;
  try {
    for (;;) {
      Bytes data = co_await reader->read(static_cast<std::ptrdiff_t>(stage.buffer));
      if (data.empty()) {
        break;
      }
      writer->write(std::move(data));
      co_await writer->drain();
    }
  } catch (const std::system_error&) {
    // The client knows of it too.
  } catch (...) {
    error = std::current_exception();
  }
  writer->close();
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
}

Coro<std::string> talk_by_stream(Stage& stage, Address address) {
  const Guard guard(stage.guards);
  const std::string host = address.host();
  const ConnectionOptions options{.host = host, .port = address.port()};
  StreamPair pair = co_await open_connection(options);
  const Ref<StreamReader> reader = std::move(pair.first);
  const Ref<StreamWriter> writer = std::move(pair.second);
  std::string answer;
  std::exception_ptr error;
  try {
    writer->write(travelling_text.substr(0, stage.split));
    if (stage.split != 0) {
      const Bytes first = co_await reader->readexactly(static_cast<std::ptrdiff_t>(stage.split));
      answer += first.view();
    }
    writer->write(travelling_text.substr(stage.split));
    co_await writer->drain();
    writer->write_eof();
    const Bytes rest = co_await reader->read();
    answer += rest.view();
  } catch (const IncompleteReadError& incomplete) {
    answer += incomplete.partial().view();
  } catch (...) {
    error = std::current_exception();
  }
  writer->close();
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  co_await writer->wait_closed();
  co_return answer;
}

Coro<std::string> echo_streams(Stage& stage) {
  auto handler = [&stage](Ref<StreamReader> reader, Ref<StreamWriter> writer) {
    return echo_stream(stage, std::move(reader), std::move(writer));
  };
  const Ref<Server> server = co_await start_server(handler, {.host = "127.0.0.1"});
  co_return co_await with_server(server, talk_by_stream(stage, address_of_first(server)));
}

constexpr Scenario all[] = {
    {"connect", &connect, "connected, refused", false},
    {"connect by name", &connect_by_name, "connected", false},
    {"accept", &accept, "accepted 1y", false},
    {"echo through protocols", &echo_protocol, travelling_text, true},
    {"echo through buffered protocols", &echo_buffered, travelling_text, true},
    {"echo through sock_*", &echo_sock, travelling_text, true},
    {"echo through streams", &echo_streams, travelling_text, true},
    {"echo through datagram endpoints", &echo_datagrams, travelling_text, true},
    {"echo through sock_recvfrom", &echo_sock_datagrams, travelling_text, true},
    {"relay", &relay, travelling_text, true},
    {"descriptors", &descriptors, travelling_text, true},
    {"pipe", &pipe, travelling_text, true},
    {"files", &send_files, "file", false},
    {"executor", &executor, "20 thrown", false},
    {"locks and queues", &locks_and_queues, "sum 10", false},
    {"generator", &generator, "sum 12", false},
    {"timeout", &timeout, "timed out, then heard", false},
};

}  // namespace

Coro<void> end(Task<void> task) {
  task.cancel();
  try {
    co_await task;
  } catch (const std::exception&) {
  } catch (const CancelledError&) {
    if (!task.done()) {
      throw;
    }
  }
}

std::span<const Scenario> scenarios() { return all; }

Coro<bool> is_alive(EventLoop& loop) {
  auto [near, far] = Socket::pair();
  const Future<void> called = loop.create_future<void>();
  loop.call_soon([called] { called.set_result(); });
  const Future<void> timed = loop.create_future<void>();
  loop.call_later(10us, [timed] { timed.set_result(); });
  Task<Bytes> receiving = ensure_future(loop.sock_recv(near, 10), &loop);
  co_await called;
  co_await timed;
  co_await loop.sock_sendall(far, "alive");
  const Bytes received = co_await receiving;
  co_return !received.empty();
}

}  // namespace weir::testing
