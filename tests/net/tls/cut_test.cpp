// TLS: a connection that is cut after byte n, for every n of a short session: an error or a clean end, never
// a hang, and never a part that passes for the whole.
#include "tests/net/tls/tls_test.hpp"

#include <array>
#include <chrono>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view question = "what is it?\n";
constexpr std::string_view answer = "it is all of this, and not a byte less\n";

// Carries bytes from one socket to another, and cuts both after so many.
class Cutter {
 public:
  Cutter(EventLoop& loop, Socket a, Socket b, std::size_t most, bool from_client)
      : loop_(loop), client_(std::move(a)), server_(std::move(b)), most_(most), cuts_client_(from_client) {}

  Coro<void> carry(bool from_client) {
    Socket& from = from_client ? client_ : server_;
    Socket& to = from_client ? server_ : client_;
    std::vector<std::byte> buffer(4096);
    try {
      while (!is_cut_) {
        std::size_t count = co_await loop_.sock_recv_into(from, buffer);
        const bool counts = from_client == cuts_client_;
        const bool cuts = counts && passed_ + count >= most_;
        if (cuts) {
          count = most_ - passed_;
        }
        if (counts) {
          passed_ += count;
        }
        if (count != 0) {
          co_await loop_.sock_sendall(to, std::span(buffer).first(count));
        }
        if (cuts) {
          cut();
        } else if (count == 0) {
          to.shutdown_write();
          co_return;
        }
      }
    } catch (const std::system_error&) {  // somebody has gone
      cut();
    }
  }

  std::size_t passed() const { return passed_; }

 private:
  // Both ends see the end of the stream, as they would of a process that dies.
  void cut() {
    is_cut_ = true;
    for (const Socket* const socket : {&client_, &server_}) {
      try {
        socket->shutdown_write();
      } catch (const std::system_error&) {  // gone already
      }
    }
  }

  EventLoop& loop_;
  Socket client_, server_;
  std::size_t most_;
  bool cuts_client_;
  bool is_cut_ = false;
  std::size_t passed_ = 0;
};

// Answers the question, and closes.
class Answerer final : public Protocol {
 public:
  void connection_made(Ref<Transport> made) override { transport_ = std::move(made); }
  void data_received(std::span<const std::byte> data) override {
    asked_ += as_text(data);
    if (asked_.ends_with('\n')) {
      transport_->write(answer);
      transport_->close();
    }
  }
  void connection_lost(std::exception_ptr why) override {
    error = std::move(why);
    is_lost = true;
    transport_.reset();
  }
  bool is_lost = false;
  std::exception_ptr error;

 private:
  std::string asked_;
  Ref<Transport> transport_;
};

Coro<void> serve(EventLoop& loop, Socket socket, Ref<Answerer> protocol, const SSLContext& context) {
  AcceptedSocketOptions options;
  options.ssl = &context;
  options.ssl_handshake_timeout = 10s;
  options.ssl_shutdown_timeout = 5s;
  try {
    auto made =
        co_await loop.connect_accepted_socket([&protocol] { return protocol; }, std::move(socket), options);
  } catch (const std::system_error&) {  // the handshake was cut
    protocol->is_lost = true;
  }
}

// What the client makes of its session.
struct Outcome {
  bool connected = false;
  bool is_whole = false;
  bool ended_cleanly = false;
};

Coro<Outcome> ask(EventLoop& loop, Socket socket, const SSLContext& context) {
  Outcome outcome;
  ConnectionOptions options;
  options.sock = &socket;
  options.ssl = &context;
  options.server_hostname = "localhost";
  options.ssl_handshake_timeout = 10s;
  options.ssl_shutdown_timeout = 5s;
  auto protocol = make_ref<Recorder>();
  protocol->on_made = [&] { protocol->transport->write(question); };
  try {
    auto made = co_await loop.create_connection([&protocol] { return protocol; }, options);
    outcome.connected = true;
  } catch (const std::system_error&) {
    CHECK(protocol->events.empty());
    co_return outcome;
  }
  co_await until([&] { return protocol->lost == 1; });
  outcome.is_whole = protocol->received == answer;
  outcome.ended_cleanly = !protocol->error && protocol->count("eof") == 1;
  CHECK(answer.starts_with(protocol->received));
  co_return outcome;
}

// One session, cut after `most` bytes of one direction; gives how many went that way.
Coro<std::size_t> session(EventLoop& loop, std::size_t most, bool from_client, const SSLContext& of_server,
                          const SSLContext& of_client) {
  SocketPair near = co_await connected_sockets(loop);
  SocketPair far = co_await connected_sockets(loop);
  Cutter cutter(loop, std::move(near.far), std::move(far.near), most, from_client);
  auto protocol = make_ref<Answerer>();
  auto serving = ensure_future(serve(loop, std::move(far.far), protocol, of_server), &loop);
  auto there = ensure_future(cutter.carry(true), &loop);
  auto back = ensure_future(cutter.carry(false), &loop);
  const Outcome outcome = co_await ask(loop, std::move(near.near), of_client);
  co_await serving;
  co_await until([&] { return protocol->is_lost; });
  co_await there;
  co_await back;
  CAPTURE(most);
  CAPTURE(from_client);
  if (outcome.ended_cleanly) {
    CHECK(outcome.is_whole);
  }
  if (most == SIZE_MAX) {
    CHECK(outcome.ended_cleanly);
    CHECK(!protocol->error);
  }
  co_return cutter.passed();
}

Coro<void> cut_everywhere(EventLoop& loop, TLSVersion version, std::size_t step) {
  SSLContext of_server = server_context();
  of_server.set_maximum_version(version);
  const SSLContext of_client = client_context();
  for (const bool from_client : {true, false}) {
    const std::size_t all = co_await session(loop, SIZE_MAX, from_client, of_server, of_client);
    REQUIRE(all > 300);
    for (std::size_t most = 0; most < all; most += step) {
      co_await session(loop, most, from_client, of_server, of_client);
    }
  }
}

// Real clocks and sockets take their time: every byte is the simulator's business.
std::size_t step_here() { return has("real_clock") ? 7 : 1; }

}  // namespace

WEIR_TEST("TLS: TLS 1.3 cut after every byte ends, and a part never passes for the whole") {
  co_await cut_everywhere(loop, TLSVersion::tls1_3, step_here());
}

WEIR_TEST("TLS: TLS 1.2 cut after every byte ends, and a part never passes for the whole") {
  co_await cut_everywhere(loop, TLSVersion::tls1_2, step_here());
}
