// The steps of the walk in net/: servers, connections, raw sockets, transports, watched descriptors.
#include "tests/drivers/walk.hpp"
#include "tests/drivers/walk_watched.hpp"
#include "tests/support/weir_test.hpp"

#include <chrono>
#include <optional>
#include <stdexcept>
#include <utility>

namespace weir::testing {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t most_servers = 3;
constexpr std::size_t most_streams = 12;
constexpr std::size_t most_raw = 6;

// What both kinds of protocol do; who of them is called does not matter to the stream.
template <class Base>
class Walker : public Base {
 public:
  Walker(Walk& walk, std::shared_ptr<Stream> stream)
      : walk_(walk), guard_(walk.guards()), stream_(std::move(stream)) {}
  void connection_made(Ref<Transport> transport) override {
    stream_->order.made();
    stream_->alone = transport.get();
    // Small buffers, so that what is written does wait now and then.
    if (const auto socket = transport->get_extra_info<extra::socket>(); socket && walk_.chance().one_in(2)) {
      socket->set_send_buffer_size(4096);
      socket->set_receive_buffer_size(4096);
    }
    stream_->transport = std::move(transport);
    act();
  }
  void connection_lost(std::exception_ptr) override {
    stream_->order.lost();
    act();
    stream_->transport.reset();
  }
  void pause_writing() override {
    stream_->order.paused();
    act();
  }
  void resume_writing() override {
    stream_->order.resumed();
    act();
  }
  bool eof_received() override {
    expect(!stream_->closed && !stream_->paused, "eof_received after close(), or while reading is paused");
    stream_->order.eof();
    act();
    return walk_.chance().one_in(2);
  }

 protected:
  void arrived(std::span<const std::byte> data) {
    expect(!data.empty(), "no data");
    expect(!stream_->closed && !stream_->paused, "data after close(), or while reading is paused");
    stream_->order.data();
    for (const std::byte byte : data) {
      if (byte != byte_at(stream_->received++)) {
        FAIL_CHECK("the bytes arrive out of order");
        break;
      }
    }
    act();
  }
  // Whatever the walk does, the call comes back to a protocol that is alive.
  void act() {
    const std::shared_ptr<Stream> keep = stream_;
    walk_.act();
  }

  Walk& walk_;
  Guard guard_;
  std::shared_ptr<Stream> stream_;
};

class StreamWalker final : public Walker<Protocol> {
 public:
  using Walker::Walker;
  void data_received(std::span<const std::byte> data) override { arrived(data); }
};

class BufferedWalker final : public Walker<BufferedProtocol> {
 public:
  using Walker::Walker;
  std::span<std::byte> get_buffer(std::size_t) override {
    stream_->order.data();
    expect(!stream_->closed && !stream_->paused, "get_buffer after close(), or while reading is paused");
    memory_.resize(1 + walk_.chance().draw(5000));
    act();
    return memory_;
  }
  void buffer_updated(std::size_t count) override { arrived(std::span(memory_).first(count)); }

 private:
  std::vector<std::byte> memory_;
};

// A socket that others may close while a coroutine uses it.
class Exposed {
 public:
  Exposed(Walk& walk, Socket& socket) : walk_(walk), socket_(socket) {
    walk_.raw_sockets().push_back(&socket);
  }
  Exposed(const Exposed&) = delete;
  Exposed& operator=(const Exposed&) = delete;
  ~Exposed() { std::erase(walk_.raw_sockets(), &socket_); }

 private:
  Walk& walk_;
  Socket& socket_;
};

}  // namespace

std::shared_ptr<Stream> Walk::new_stream() { return all_streams_.emplace_back(std::make_shared<Stream>()); }

Ref<BaseProtocol> Walk::new_protocol(std::shared_ptr<Stream> stream) {
  if (chance_.one_in(2)) {
    return make_ref<StreamWalker>(*this, std::move(stream));
  }
  return make_ref<BufferedWalker>(*this, std::move(stream));
}

// One that has a transport; null when there is none.
std::shared_ptr<Stream> Walk::any_stream() {
  std::erase_if(streams_, [](const auto& stream) { return stream->order.is_lost(); });
  const std::shared_ptr<Stream>* one = any(streams_);
  return one != nullptr && (*one)->transport != nullptr ? *one : nullptr;
}

Ref<Server> Walk::any_server() {
  const auto* one = any(servers_);
  return one != nullptr ? one->first : Ref<Server>();
}

// --- Servers
// -----------------------------------------------------------------------------------------------

Coro<void> Walk::serve() {
  const Guard guard(guards_);
  const bool starts = !chance_.one_in(4);
  const std::uint64_t number = ++last_server_;
  auto factory = [this, number, held = Guard(guards_)] {
    act();
    auto stream = new_stream();
    stream->server = number;
    streams_.push_back(stream);
    return make_ref<StreamWalker>(*this, std::move(stream));
  };
  ServerOptions options{.host = "127.0.0.1"};
  options.start_serving = starts;
  Ref<Server> server = co_await loop_.create_server(std::move(factory), options);
  servers_.emplace_back(std::move(server), number);
  act();
}

void Walk::start_server() {
  if (servers_.size() < most_servers) {
    keep(loop_.create_task(serve()));
  }
}

// Its clients will be told nothing more than their end.
void Walk::end_clients(std::uint64_t server) {
  for (const std::shared_ptr<Stream>& stream : all_streams_) {
    stream->closed = stream->closed || (stream->server == server && stream->order.is_open());
  }
}

void Walk::end_server() {
  const auto* const one = any(servers_);
  if (one == nullptr) {
    return;
  }
  const auto [server, number] = *one;
  switch (chance_.draw(4)) {
    case 0:
      end_clients(number);
      server->close_clients();
      break;
    case 1:
      end_clients(number);
      server->abort_clients();
      break;
    default:
      server->close();
      expect(!server->is_serving() && server->sockets().empty(), "a closed server serves");
  }
}

void Walk::drop_server() {
  if (!servers_.empty() && chance_.one_in(2)) {
    take_any(servers_);
  }
}

Coro<void> Walk::attend(Ref<Server> server, std::uint64_t how) {
  const Guard guard(guards_);
  try {
    switch (how) {
      case 0:
        co_await server->start_serving();
        break;
      case 1:
        co_await server->wait_closed();
        break;
      case 2:
        co_await server->serve_forever();
        break;
      default:
        co_await server->aclose();
    }
  } catch (const RuntimeError&) {
    // It is closed, or somebody else serves for ever.
  }
  act();
}

void Walk::await_server() {
  if (const Ref<Server> server = any_server(); server != nullptr) {
    Coro<void> body = attend(server, chance_.draw(4));
    keep(loop_.create_task(std::move(body)));
  }
}

// --- Connections
// -------------------------------------------------------------------------------------------

Coro<void> Walk::connect() {
  const Guard guard(guards_);
  const Ref<Server> server = any_server();
  if (server == nullptr || server->sockets().empty()) {
    co_return;
  }
  const std::uint16_t port = server->sockets()[0].local_address().port();
  auto stream = new_stream();
  auto factory = [this, stream, held = Guard(guards_)] {
    act();
    streams_.push_back(stream);
    return make_ref<BufferedWalker>(*this, stream);
  };
  ConnectionOptions options{.host = "127.0.0.1", .port = port};
  if (chance_.one_in(3)) {
    options.timeout = std::chrono::microseconds(chance_.draw(100));
  }
  const auto made = co_await loop_.create_connection(std::move(factory), options);
  act();
}

Coro<void> Walk::adopt() {
  const Guard guard(guards_);
  auto [near, far] = Socket::pair();
  auto one = new_stream();
  auto other = new_stream();
  auto first = [this, one] {
    streams_.push_back(one);
    return make_ref<StreamWalker>(*this, one);
  };
  auto second = [this, other] {
    streams_.push_back(other);
    return make_ref<BufferedWalker>(*this, other);
  };
  co_await loop_.connect_accepted_socket(first, std::move(near), {});
  act();
  co_await loop_.create_connection(second, {.sock = &far});
  act();
}

void Walk::start_connection() {
  if (streams_.size() < most_streams) {
    keep(loop_.create_task(connect()));
  }
}

void Walk::adopt_pair() {
  if (streams_.size() < most_streams) {
    keep(loop_.create_task(adopt()));
  }
}

// --- Raw sockets
// -------------------------------------------------------------------------------------------

// Sends and receives for a while. A send that was cancelled ends it: nobody knows how much was sent.
Coro<void> Walk::use_raw(Socket& socket) {
  const Guard guard(guards_);
  std::size_t sent = 0;
  std::size_t received = 0;
  std::vector<std::byte> memory(2000);
  for (std::uint64_t left = chance_.draw(6); left != 0 && socket.is_open(); --left) {
    act();
    if (!socket.is_open()) {
      break;
    }
    if (chance_.one_in(2)) {
      const std::string text = bytes_from(sent, chance_.draw(3000));
      co_await loop_.sock_sendall(socket, text);
      sent += text.size();
    } else {
      std::size_t count = 0;
      try {
        count = co_await loop_.sock_recv_into(socket, memory);
      } catch (const CancelledError&) {
        if (chance_.one_in(2)) {
          throw;
        }
        continue;  // no byte is lost: the next one is the one that was expected
      }
      if (count == 0) {
        break;
      }
      for (std::size_t i = 0; i != count; ++i) {
        if (memory[i] != byte_at(received++)) {
          FAIL_CHECK("the bytes of a socket arrive out of order");
          co_return;
        }
      }
    }
  }
}

Coro<void> Walk::raw_client() {
  const Guard guard(guards_);
  const Ref<Server> server = any_server();
  if (server == nullptr || server->sockets().empty()) {
    co_return;
  }
  const Address address = server->sockets()[0].local_address();
  Socket socket = Socket::open(AddressFamily::inet);
  const Exposed exposed(*this, socket);
  co_await loop_.sock_connect(socket, address);
  co_await use_raw(socket);
}

Coro<void> Walk::raw_acceptor() {
  const Guard guard(guards_);
  Socket listener = Socket::open(AddressFamily::inet);
  listener.bind(Address::loopback(AddressFamily::inet, 0));
  listener.listen();
  const Exposed exposed_listener(*this, listener);
  Socket client = Socket::open(AddressFamily::inet);
  const Exposed exposed_client(*this, client);
  Task<void> connecting = ensure_future(loop_.sock_connect(client, listener.local_address()), &loop_);
  std::exception_ptr error;
  try {
    auto [accepted, address] = co_await loop_.sock_accept(listener);
    const Exposed exposed(*this, accepted);
    co_await use_raw(accepted);
  } catch (...) {
    error = std::current_exception();
  }
  // It uses the client's socket, which goes with this frame.
  client.close();
  while (!connecting.done()) {
    try {
      co_await connecting;
    } catch (const std::system_error&) {
    } catch (const CancelledError&) {
    }
  }
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
}

void Walk::start_raw_client() {
  if (raw_sockets_.size() < most_raw) {
    keep(loop_.create_task(raw_client()));
  }
}

void Walk::start_raw_acceptor() {
  if (raw_sockets_.size() < most_raw) {
    keep(loop_.create_task(raw_acceptor()));
  }
}

void Walk::close_raw() {
  if (Socket** socket = any(raw_sockets_); socket != nullptr) {
    (*socket)->close();
  }
}

// --- Transports
// --------------------------------------------------------------------------------------------

void Walk::write() {
  const std::shared_ptr<Stream> stream = any_stream();
  if (stream == nullptr) {
    return;
  }
  const Ref<Transport> transport = stream->transport;
  const std::size_t size = chance_.one_in(6) ? chance_.draw(200'000) : chance_.draw(600);
  const std::string text = bytes_from(stream->written, size);
  if (stream->writing_ended) {
    CHECK_THROWS_AS(transport->write("x"), RuntimeError);
    return;
  }
  stream->written += size;  // before: the call may come back here by pause_writing
  if (chance_.one_in(2)) {
    transport->write(text);
  } else {
    transport->write(Bytes(text));
  }
}

void Walk::write_lines() {
  const std::shared_ptr<Stream> stream = any_stream();
  if (stream == nullptr || stream->writing_ended) {
    return;
  }
  const Ref<Transport> transport = stream->transport;
  const std::string text = bytes_from(stream->written, chance_.draw(3000));
  stream->written += text.size();
  const std::size_t cut = chance_.draw(text.size() + 1);
  const std::span<const std::byte> pieces[] = {as_bytes(text).first(cut), {}, as_bytes(text).subspan(cut)};
  transport->writelines(pieces);
}

void Walk::write_eof() {
  if (const std::shared_ptr<Stream> stream = any_stream(); stream != nullptr && chance_.one_in(3)) {
    const Ref<Transport> transport = stream->transport;
    stream->writing_ended = stream->writing_ended || !transport->is_closing();
    transport->write_eof();
  }
}

void Walk::close_transport() {
  if (const std::shared_ptr<Stream> stream = any_stream(); stream != nullptr && chance_.one_in(5)) {
    const Ref<Transport> transport = stream->transport;
    stream->closed = true;
    transport->close();
    expect(transport->is_closing() && !transport->is_reading(), "close() does not close");
  }
}

void Walk::abort_transport() {
  if (const std::shared_ptr<Stream> stream = any_stream(); stream != nullptr && chance_.one_in(5)) {
    const Ref<Transport> transport = stream->transport;
    stream->closed = true;
    transport->abort();
    expect(transport->is_closing() && transport->get_write_buffer_size() == 0, "abort() does not abort");
  }
}

void Walk::pause_reading() {
  if (const std::shared_ptr<Stream> stream = any_stream(); stream != nullptr) {
    stream->paused = true;
    stream->transport->pause_reading();
    expect(!stream->transport->is_reading(), "pause_reading() does not pause");
  }
}

void Walk::resume_reading() {
  if (const std::shared_ptr<Stream> stream = any_stream(); stream != nullptr) {
    stream->paused = false;
    const Ref<Transport> transport = stream->transport;
    transport->resume_reading();
    expect(transport->is_reading() != transport->is_closing(), "resume_reading() does not resume");
  }
}

void Walk::set_limits() {
  if (const std::shared_ptr<Stream> stream = any_stream(); stream != nullptr) {
    const Ref<Transport> transport = stream->transport;
    switch (chance_.draw(4)) {
      case 0:
        transport->set_write_buffer_limits();
        break;
      case 1:
        transport->set_write_buffer_limits(0);
        break;
      case 2:
        transport->set_write_buffer_limits(static_cast<std::ptrdiff_t>(chance_.draw(5000)));
        break;
      default:
        CHECK_THROWS_AS(transport->set_write_buffer_limits(1, 2), std::invalid_argument);
    }
  }
}

void Walk::set_protocol() {
  if (const std::shared_ptr<Stream> stream = any_stream(); stream != nullptr) {
    const Ref<Transport> transport = stream->transport;
    transport->set_protocol(new_protocol(stream));
  }
}

void Walk::ask_transport() {
  if (const std::shared_ptr<Stream> stream = any_stream(); stream != nullptr) {
    const Ref<Transport> transport = stream->transport;
    transport->get_extra_info<extra::peername>();
    transport->get_extra_info<extra::sockname>();
    if (const auto socket = transport->get_extra_info<extra::socket>()) {
      CHECK_THROWS_AS(loop_.add_reader(socket->native_handle(), [] {}), RuntimeError);
    }
    const WriteBufferLimits limits = transport->get_write_buffer_limits();
    expect(limits.low <= limits.high, "the limits are the wrong way round");
    expect(transport->get_protocol() != nullptr || transport->is_closing(), "no protocol");
  }
}

// The transport lives on without anybody, until its connection is lost.
void Walk::drop_transport() {
  if (const std::shared_ptr<Stream> stream = any_stream(); stream != nullptr && chance_.one_in(6)) {
    stream->transport.reset();
  }
}

// --- Watched descriptors
// -----------------------------------------------------------------------------------

void Walk::watch() {
  if (watched_.size() < 4 && chance_.one_in(2)) {
    watched_.push_back(std::make_shared<Watched>());
  }
  const std::shared_ptr<Watched>* one = any(watched_);
  if (one == nullptr || !(*one)->near.is_open()) {
    return;
  }
  const std::shared_ptr<Watched> watched = *one;
  // Weakly: the watcher must not keep the socket that it watches.
  const std::weak_ptr<Watched> weak = watched;
  if (chance_.one_in(2)) {
    watched->reads = false;  // when it fails, the one before is gone as well
    loop_.add_reader(watched->near, [this, weak, guard = Guard(guards_)] {
      const std::shared_ptr<Watched> self = weak.lock();
      expect(self != nullptr && self->reads, "a reader is called that was removed");
      act();
    });
    watched->reads = true;
    if (watched->far.is_open() && chance_.one_in(2)) {
      watched->far.shutdown_write();
    }
  } else {
    watched->writes = false;
    loop_.add_writer(watched->near, [this, weak, guard = Guard(guards_)] {
      const std::shared_ptr<Watched> self = weak.lock();
      expect(self != nullptr && self->writes, "a writer is called that was removed");
      act();
    });
    watched->writes = true;
  }
}

void Walk::unwatch() {
  if (const std::shared_ptr<Watched>* one = any(watched_); one != nullptr && (*one)->near.is_open()) {
    const std::shared_ptr<Watched> watched = *one;
    if (chance_.one_in(2)) {
      const bool was = std::exchange(watched->reads, false);
      expect(loop_.remove_reader(watched->near) == was, "remove_reader() lies");
    } else {
      const bool was = std::exchange(watched->writes, false);
      expect(loop_.remove_writer(watched->near) == was, "remove_writer() lies");
    }
  }
}

void Walk::close_watched() {
  if (!watched_.empty()) {
    const std::shared_ptr<Watched> watched = take_any(watched_);
    watched->reads = watched->writes = false;
    loop_.remove_reader(watched->near);
    loop_.remove_writer(watched->near);
  }
}

}  // namespace weir::testing
