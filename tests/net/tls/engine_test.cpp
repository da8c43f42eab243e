// TLS: the engine by itself, two of them with nothing but memory in between.
#include "tests/net/tls/tls_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

using namespace weir;
using namespace weir::testing;
using Status = detail::TlsEngine::Status;

namespace {

// An engine, what it wants to send, and what was brought to it.
class Side {
 public:
  Side(const SSLContext& context, bool server_side)
      : engine(context, server_side, server_side ? "" : "localhost", nullptr) {
    engine.set_output(&output);
  }

  // Moves at most so many bytes of what the other one has sent.
  void take_from(Side& other, std::size_t most) {
    const std::size_t count = std::min(most, other.output.size());
    const auto unread = engine.unread();
    std::vector<std::byte> joined(unread.begin(), unread.end());
    const auto end = other.output.begin() + static_cast<std::ptrdiff_t>(count);
    joined.insert(joined.end(), other.output.begin(), end);
    other.output.erase(other.output.begin(), end);
    input = std::move(joined);
    engine.feed(input);
  }
  std::string read() {
    std::string text(100'000, '\0');
    std::size_t count = 0;
    last = engine.read(std::as_writable_bytes(std::span(text)), count);
    text.resize(count);
    return text;
  }

  detail::TlsEngine engine;
  std::vector<std::byte> output;
  std::vector<std::byte> input;
  Status last = Status::wants_input;
};

// Exchanges pieces of this size until both are done.
void shake_hands(Side& client, Side& server, std::size_t piece) {
  Status of_client = client.engine.handshake();
  Status of_server = Status::wants_input;
  for (int round = 0; of_client != Status::done || of_server != Status::done; ++round) {
    REQUIRE(round < 20'000);
    server.take_from(client, piece);
    of_server = server.engine.handshake();
    REQUIRE(of_server != Status::failed);
    client.take_from(server, piece);
    of_client = client.engine.handshake();
    REQUIRE(of_client != Status::failed);
  }
}

}  // namespace

TEST_CASE("TLS: two engines shake hands and talk, whatever the pieces that bytes come in") {
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{1000}, std::size_t{1'000'000}}) {
    CAPTURE(piece);
    Side client(client_context(), false);
    Side server(server_context(), true);
    shake_hands(client, server, piece);
    const std::string text = pattern(50'000);
    REQUIRE(client.engine.write(as_bytes(text)) == Status::done);
    std::string got;
    while (!client.output.empty() || server.engine.has_pending()) {
      server.take_from(client, piece);
      got += server.read();
      REQUIRE(server.last != Status::failed);
    }
    CHECK(got == text);
    CHECK(server.engine.unread().empty());
    CHECK(client.engine.shutdown() == Status::done);
    while (!client.output.empty()) {
      server.take_from(client, piece);
      server.read();
    }
    CHECK(server.last == Status::ended);
    CHECK(server.engine.shutdown() == Status::ended);
  }
}

TEST_CASE("TLS: an engine that is fed garbage fails with the reason, and has an alert to send") {
  Side server(server_context(), true);
  const std::string garbage = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  server.engine.feed(as_bytes(garbage));
  CHECK(server.engine.handshake() == Status::failed);
  std::error_code code;
  try {
    std::rethrow_exception(server.engine.take_error());
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == TLSErrc::not_tls);
}

TEST_CASE("TLS: a record that is too long, or was changed, is refused") {
  for (const bool is_long : {true, false}) {
    CAPTURE(is_long);
    Side client(client_context(), false);
    Side server(server_context(), true);
    shake_hands(client, server, 1'000'000);
    REQUIRE(client.engine.write(as_bytes("hello")) == Status::done);
    if (is_long) {
      client.output.at(3) = std::byte{0x48};  // the length of the record: more than 2^14 + 256
    } else {
      client.output.back() ^= std::byte{1};
    }
    server.take_from(client, 1'000'000);
    CHECK(server.read().empty());
    CHECK(server.last == Status::failed);
    CHECK_FALSE(server.output.empty());
    CHECK(server.engine.take_error());
  }
}

TEST_CASE("TLS: an engine that has read all has no memory for records left") {
  Side client(client_context(), false);
  Side server(server_context(), true);
  shake_hands(client, server, 1'000'000);
  CHECK_FALSE(server.engine.has_pending());
  REQUIRE(client.engine.write(as_bytes(pattern(10'000))) == Status::done);
  server.take_from(client, 5'000);
  CHECK(server.read().empty());
  CHECK(server.last == Status::wants_input);
  CHECK_FALSE(server.engine.has_pending());
  server.take_from(client, 1'000'000);
  std::array<std::byte, 100> small;
  std::size_t count = 0;
  CHECK(server.engine.read(small, count) == Status::done);
  CHECK(count == 100);
  CHECK(server.engine.has_pending());
  CHECK(server.read().size() == 9'900);
  CHECK_FALSE(server.engine.has_pending());
}

TEST_CASE("TLS: a name that cannot be one is refused") {
  const auto checked = [](std::string_view name) { return detail::checked_server_hostname(name, "call"); };
  CHECK(checked("example.org") == "example.org");
  CHECK(checked("example.org.") == "example.org");
  CHECK(checked("fe80::1%eth0") == "fe80::1");
  for (const std::string_view wrong : {std::string_view(""), std::string_view("."), std::string_view(".a"),
                                       std::string_view("a\0b", 3), std::string_view("%lo")}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(checked(wrong), std::invalid_argument);
  }
  CHECK_THROWS_AS(checked(std::string(254, 'a')), std::invalid_argument);
  CHECK_THROWS_AS(checked("b\xc3\xbc"
                          "cher.example"),
                  NotSupportedError);
}
