// Datagrams and the calls that they cost: how many there are, and which of their errors lose nothing.
#include "tests/drivers/calls.hpp"
#include "tests/net/folder.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/weir.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

class Counting final : public DatagramProtocol {
 public:
  void datagram_received(std::span<const std::byte> data, const Address&) override {
    ++received;
    text += as_text(data);
  }
  void error_received(const std::system_error&) override { ++errors; }
  void connection_lost(std::exception_ptr why) override {
    is_lost = true;
    try {
      if (why) {
        std::rethrow_exception(std::move(why));
      }
    } catch (const std::system_error& error) {
      lost_with = error.code();
    }
  }

  std::size_t received = 0;
  std::size_t errors = 0;
  std::string text;
  std::error_code lost_with;
  bool is_lost = false;
};

struct Pair {
  Ref<DatagramTransport> sender, receiver;
  Ref<Counting> sending, receiving;
};

Coro<Pair> make_pair(EventLoop& loop) {
  auto factory = [] { return make_ref<Counting>(); };
  const DatagramEndpointOptions here{.local_addr = Address::loopback(AddressFamily::inet, 0)};
  auto [receiver, receiving] = co_await loop.create_datagram_endpoint(factory, here);
  const DatagramEndpointOptions there{.remote_addr = receiver->get_extra_info<extra::sockname>()};
  auto [sender, sending] = co_await loop.create_datagram_endpoint(factory, there);
  Pair pair;
  pair.sender = std::move(sender);
  pair.sending = std::move(sending);
  pair.receiver = std::move(receiver);
  pair.receiving = std::move(receiving);
  co_return pair;
}

Coro<void> end(Pair& pair) {
  pair.sender->close();
  pair.receiver->close();
  co_await until([&pair] { return pair.sending->is_lost && pair.receiving->is_lost; });
}

}  // namespace

// The errors of each call in turn. ENOBUFS means that there is no room at the moment: nothing is lost by it.
WEIR_TEST("DGRM-005 LESSON-034 ENOBUFS is would-block: nothing is lost, told or paused for ever") {
  int met = 0;
  bool reached = true;
  for (std::uint64_t call = 0; reached; ++call) {
    for (std::size_t error = 0; error != 6; ++error) {
      Pair pair = co_await make_pair(loop);
      const FaultyCalls faulty({.at = call, .error = error, .data_only = true});
      std::string sent;
      for (char c = 'a'; c <= 'z'; ++c) {
        sent += c;
        pair.sender->sendto(std::string_view(&c, 1));
      }
      co_await until([&] {
        return FaultyCalls::error() != 0 ? FaultyCalls::error() != ENOBUFS || pair.receiving->received == 26
                                         : pair.receiving->received == 26;
      });
      reached = FaultyCalls::reached();
      const bool by_sending = std::string_view(FaultyCalls::name()).starts_with("send");
      if (FaultyCalls::error() == ENOBUFS && by_sending) {
        ++met;
        CHECK(pair.receiving->text == sent);
        CHECK(pair.sending->errors == 0);
      }
      FaultyCalls::stop();
      co_await until([&] { return pair.sender->get_write_buffer_size() == 0; });
      co_await end(pair);
    }
  }
  CHECK(met >= 2);
}

namespace {

// Which call receives a datagram, and which of its errors is ENOMEM.
Coro<CallFault> out_of_memory(EventLoop& loop) {
  for (std::uint64_t call = 0; call != 20; ++call) {
    for (std::size_t error = 0; error != 8; ++error) {
      CallFault fault{.at = call, .error = error, .data_only = true};
      Pair pair = co_await make_pair(loop);
      const FaultyCalls faulty(fault);
      pair.sender->sendto("x");
      co_await until([&] { return FaultyCalls::error() != 0 || pair.receiving->received == 1; });
      const bool is_found =
          FaultyCalls::error() == ENOMEM && std::string_view(FaultyCalls::name()).starts_with("rec");
      FaultyCalls::stop();
      co_await end(pair);
      if (is_found) {
        fault.for_ever = true;
        co_return fault;
      }
    }
  }
  FAIL("no call receives");
  co_return CallFault();
}

}  // namespace

WEIR_TEST("DGRM-008 an error that never goes away closes the endpoint with it") {
  const CallFault fault = co_await out_of_memory(loop);
  Pair pair = co_await make_pair(loop);
  const FaultyCalls faulty(fault);
  pair.sender->sendto("x");
  co_await until([&] { return pair.receiving->is_lost; });
  FaultyCalls::stop();
  CHECK(pair.receiving->errors > 1);  // each was told
  CHECK(pair.receiver->is_closing());
  CHECK(pair.receiving->lost_with == std::errc::not_enough_memory);
  env.expect_report("the endpoint can receive no more");
  co_await end(pair);
}

#if defined(WEIR_TEST_POSIX)

namespace {

Coro<void> send_to(EventLoop& loop, Socket& sender, Address address) {
  co_await loop.sock_sendto(sender, std::string_view("x"), address);
}

}  // namespace

WEIR_TEST("SOCK-013 LESSON-034 waiting for a full Unix receiver does not keep the processor busy") {
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  receiver.bind(address);
  Socket others = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  Socket sender = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  Task<void> filling = loop.create_task(send_to(loop, others, address));
  for (co_await sleep(0s); filling.done(); co_await sleep(0s)) {
    filling = loop.create_task(send_to(loop, others, address));
  }
  filling.cancel();
  CHECK_THROWS_AS(co_await filling, CancelledError);
  const FaultyCalls counting({});
  Task<void> sending = loop.create_task(send_to(loop, sender, address));
  co_await sleep(20ms);
  CHECK(FaultyCalls::count() > 0);
  CHECK(FaultyCalls::count() < 100);  // a few for each of 20 attempts
  CHECK_FALSE(sending.done());
  co_await loop.sock_recv(receiver, 10);
  co_await sending;
}

WEIR_TEST("LESSON-034 small datagrams cost less than a tenth of a system call each") {
  const bool is_long = std::getenv("WEIR_TEST_LONG") != nullptr;
  const std::size_t all = is_long ? 1'000'000 : 100'000;
  constexpr std::size_t burst = 128;
  Pair pair = co_await make_pair(loop);
  const FaultyCalls counting({});
  const std::string text(64, 'x');
  for (std::size_t sent = 0; sent < all;) {
    for (const std::size_t last = std::min(sent + burst, all); sent != last; ++sent) {
      pair.sender->sendto(text);
    }
    Counting* const receiving = pair.receiving.get();
    co_await until([receiving, sent] { return receiving->received == sent; });
  }
  const std::uint64_t calls = FaultyCalls::count();
  FaultyCalls::stop();
  MESSAGE("" << all << " datagrams, " << calls << " system calls");
  CHECK(calls > all / 128);  // they are counted
  CHECK(calls < all / 10);
  co_await end(pair);
}

#endif
