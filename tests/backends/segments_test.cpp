// Datagrams that the system moves as one (GSO and GRO of UDP): nobody can tell but by counting system calls.
#include "backends/posix/sockets.hpp"

#include <doctest/doctest.h>

#include <sys/socket.h>
#include <cerrno>
#include <random>
#include <string>
#include <vector>

using namespace weir::detail;
using weir::AddressFamily;
using weir::native_socket;
using weir::SocketType;

namespace {

using Texts = std::vector<std::string>;

struct Udp {
  explicit Udp(AddressFamily family) {
    const std::int64_t made = PosixSockets::open(family, SocketType::datagram, 0);
    REQUIRE(made >= 0);
    native = static_cast<native_socket>(made);
    RawAddress any;
    any.family = family;
    if (family == AddressFamily::inet) {
      any.ip = {127, 0, 0, 1};
    } else {
      any.ip[15] = 1;
    }
    REQUIRE(PosixSockets::bind(native, any) == 0);
    REQUIRE(PosixSockets::local_address(native, address) == 0);
  }
  Udp(const Udp&) = delete;
  Udp& operator=(const Udp&) = delete;
  ~Udp() { PosixSockets::close(native); }

  // The size of the next message, or -1.
  std::int64_t receive_raw() {
    std::string text(70'000, '\0');
    return ::recv(native, text.data(), text.size(), MSG_DONTWAIT);
  }

  native_socket native = weir::invalid_socket;
  RawAddress address;
};

void send(Udp& from, const Texts& texts, const std::vector<const RawAddress*>& to) {
  std::vector<Datagram> datagrams;
  for (std::size_t i = 0; i != texts.size(); ++i) {
    datagrams.push_back({std::as_bytes(std::span(texts[i])), to[i]});
  }
  for (std::size_t sent = 0; sent != datagrams.size();) {
    const std::int64_t result =
        PosixSockets::send_datagrams(from.native, std::span(datagrams).subspan(sent), true);
    REQUIRE(result > 0);
    sent += static_cast<std::size_t>(result);
  }
}

void send(Udp& from, const Texts& texts, const RawAddress& to) {
  send(from, texts, std::vector<const RawAddress*>(texts.size(), &to));
}

// Everything that is there.
Texts receive(PosixDatagramBatch& batch, Udp& from, const RawAddress& sender) {
  Texts texts;
  std::int64_t count;
  while ((count = batch.receive(from.native)) > 0) {
    for (std::size_t i = 0; i != static_cast<std::size_t>(count); ++i) {
      const auto data = batch.data(i);
      texts.emplace_back(reinterpret_cast<const char*>(data.data()), data.size());
      CHECK(batch.from(i) == sender);
    }
  }
  CHECK(count == -EAGAIN);
  return texts;
}

}  // namespace

TEST_CASE("segments: datagrams of one size to one address are one to the system, from end to end") {
  for (const AddressFamily family : {AddressFamily::inet, AddressFamily::inet6}) {
    Udp near(family), far(family);
    REQUIRE(PosixSockets::join_datagrams(near.native));
    send(far, Texts(10, std::string(100, 'x')), near.address);
    CHECK(near.receive_raw() == 1000);
    // The last one may be smaller, a larger one begins anew, and so does another address.
    send(far, {"12", "12", "1", "12"}, near.address);
    CHECK(near.receive_raw() == 5);
    CHECK(near.receive_raw() == 2);
    Udp other(family);
    send(far, {"12", "12", "12", "12"}, {&near.address, &near.address, &other.address, &near.address});
    CHECK(near.receive_raw() == 4);
    CHECK(near.receive_raw() == 2);
    // Empty ones have no part in it, nor those that might not fit into a packet.
    send(far, {"12", "", "12", std::string(1401, 'x'), std::string(1401, 'x')}, near.address);
    for (const std::int64_t size : {2, 0, 2, 1401, 1401}) {
      CHECK(near.receive_raw() == size);
    }
    // As many bytes as one message has room for: 43 of these.
    send(far, Texts(60, std::string(1400, 'x')), near.address);
    CHECK(near.receive_raw() == 43 * 1400);
    CHECK(near.receive_raw() == 17 * 1400);
  }
}

TEST_CASE("segments: who has not asked for them gets datagrams one by one") {
  Udp near(AddressFamily::inet), far(AddressFamily::inet);
  send(far, Texts(10, std::string(100, 'x')), near.address);
  for (int i = 0; i != 10; ++i) {
    CHECK(near.receive_raw() == 100);
  }
  CHECK(near.receive_raw() == -1);
}

TEST_CASE("segments: where the system refuses to cut, datagrams leave one by one") {
  Udp near(AddressFamily::inet), far(AddressFamily::inet);
  REQUIRE(PosixSockets::join_datagrams(near.native));
  constexpr int on = 1;
  REQUIRE(::setsockopt(far.native, SOL_SOCKET, SO_NO_CHECK, &on, sizeof on) ==
          0);  // it must compute checksums
  send(far, {"1", "2", "3"}, near.address);
  PosixDatagramBatch batch;
  CHECK(receive(batch, near, far.address) == Texts{"1", "2", "3"});
}

TEST_CASE("segments: an error that was waiting is told, and costs no datagram") {
  Udp far(AddressFamily::inet);
  RawAddress nobody;
  {
    Udp near(AddressFamily::inet);
    nobody = near.address;
  }
  REQUIRE(PosixSockets::connect(far.native, nobody) == 0);
  const std::string text = "x";
  const Datagram three[] = {{std::as_bytes(std::span(text)), nullptr},
                            {std::as_bytes(std::span(text)), nullptr},
                            {std::as_bytes(std::span(text)), nullptr}};
  REQUIRE(PosixSockets::send_datagrams(far.native, three, true) == 3);
  CHECK(PosixSockets::send_datagrams(far.native, three, true) == -ECONNREFUSED);
}

TEST_CASE("segments: whatever sizes and addresses follow each other, each receiver gets its own in order") {
  PosixDatagramBatch batch;
  for (unsigned seed = 0; seed != 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Udp sender(AddressFamily::inet);
    Udp receivers[2] = {Udp(AddressFamily::inet), Udp(AddressFamily::inet)};
    for (Udp& receiver : receivers) {
      REQUIRE(PosixSockets::join_datagrams(receiver.native));
    }
    Texts texts, expected[2];
    std::vector<const RawAddress*> to;
    std::size_t size = 0, which = 0;
    for (std::size_t i = 0; i != 60; ++i) {
      if (random() % 4 == 0) {
        constexpr std::size_t sizes[] = {0, 1, 7, 700, 1400, 1401};
        size = sizes[random() % 6];
      }
      which = random() % 8 == 0 ? 1 - which : which;
      std::string text = std::to_string(i) + std::string(size, 'x');
      text.resize(size);
      expected[which].push_back(text);
      texts.push_back(std::move(text));
      to.push_back(&receivers[which].address);
    }
    send(sender, texts, to);
    for (const std::size_t i : {0, 1}) {
      CHECK(receive(batch, receivers[i], sender.address) == expected[i]);
    }
  }
}
