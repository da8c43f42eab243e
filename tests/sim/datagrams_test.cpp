// What may befall simulated datagrams: loss, doubles, disorder, partitions, full buffers, black holes.
#include "tests/net/datagrams/datagram_test.hpp"

#include <weir/sim.hpp>

#include <numeric>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// Sends 200 numbered datagrams in a world with these options, and gives what arrived.
std::vector<int> arrivals(const sim::Options& options) {
  const sim::Options before = sim::options();
  sim::configure(options);
  std::vector<int> numbers;
  const auto body = [](EventLoop& loop, std::vector<int>& out) -> Coro<void> {
    Endpoint near = co_await bound_endpoint(loop);
    Endpoint far = co_await endpoint_to(loop, near.address());
    for (int i = 0; i != 200; ++i) {
      far.transport->sendto(std::to_string(i));
      if (i % 20 == 0) {
        co_await settle(loop);
      }
    }
    co_await settle(loop);
    for (const std::string& text : near.protocol->received) {
      out.push_back(std::stoi(text));
    }
    co_await near.close();
    co_await far.close();
  };
  {
    EventLoop loop;
    loop.run_until_complete(body(loop, numbers));
  }
  sim::configure(before);
  return numbers;
}

}  // namespace

TEST_CASE("sim: datagrams arrive once and in order unless they are told not to") {
  std::vector<int> all(200);
  std::iota(all.begin(), all.end(), 0);
  for (std::uint64_t seed = 1; seed != 20; ++seed) {
    CHECK(arrivals({.seed = seed}) == all);
  }
}

TEST_CASE("sim: datagrams are lost, doubled and overtaken by chance") {
  const std::vector<int> some = arrivals({.seed = 1, .datagram_loss_chance = 0.25});
  CHECK(some.size() > 100);
  CHECK(some.size() < 190);
  CHECK(std::is_sorted(some.begin(), some.end()));
  CHECK(arrivals({.seed = 1, .datagram_loss_chance = 0.25}) == some);
  CHECK(arrivals({.seed = 2, .datagram_loss_chance = 0.25}) != some);
  CHECK(arrivals({.seed = 1, .datagram_loss_chance = 1}).empty());

  const std::vector<int> more = arrivals({.seed = 1, .datagram_duplicate_chance = 0.25});
  CHECK(more.size() > 210);
  CHECK(more.size() < 300);

  const std::vector<int> mixed = arrivals({.seed = 1, .datagram_reorder_chance = 0.25});
  CHECK(mixed.size() == 200);
  CHECK_FALSE(std::is_sorted(mixed.begin(), mixed.end()));
}

WEIR_TEST("sim: nothing passes a partition, and nothing comes from a black hole") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await endpoint_to(loop, near.address());
  sim::partition({.host = "127.0.0.1"}, {.host = "127.0.0.1"});
  far.transport->sendto("lost");
  co_await settle(loop);
  sim::heal();
  far.transport->sendto("passed");
  co_await near.receives(1);
  CHECK(near.protocol->received == std::vector<std::string>{"passed"});
  near.transport->sendto("x", Address::inet("192.0.2.1", 9));
  near.transport->sendto("x", Address::inet("10.0.0.1", 9));
  co_await until([recorder = near.protocol.get()] { return !recorder->errors.empty(); });
  CHECK(near.protocol->errors ==
        std::vector<std::error_code>{std::make_error_code(std::errc::network_unreachable)});
  co_await near.close();
  co_await far.close();
}

WEIR_TEST("sim: a receiver that does not read loses what its buffer does not hold") {
  Socket near = bound_socket();
  near.set_receive_buffer_size(4000);
  Endpoint far = co_await endpoint_to(loop, near.local_address());
  for (int i = 0; i != 20; ++i) {
    far.transport->sendto(std::string(936, static_cast<char>('a' + i)));  // 1,000 with its cost
  }
  co_await settle(loop);
  std::string got;
  for (int i = 0; i != 4; ++i) {
    const auto received = co_await loop.sock_recvfrom(near, 10);
    got += received.first.view()[0];
  }
  CHECK(got == "abcd");
  far.transport->sendto("then");
  const auto received = co_await loop.sock_recvfrom(near, 10);
  CHECK(received.first.view() == "then");
  co_await far.close();
}

WEIR_TEST("sim: UDP waits for room in the send buffer, and flow control with it") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await endpoint_to(loop, near.address());
  near.transport->get_extra_info<extra::socket>()->set_receive_buffer_size(1 << 20);
  int sent = 0;
  while (far.protocol->count("pause") == 0 && sent != 1000) {
    far.transport->sendto(std::string(1000, static_cast<char>('a' + sent++ % 26)));
  }
  CHECK(far.transport->get_write_buffer_size() > 64 * 1024);
  co_await near.receives(static_cast<std::size_t>(sent));
  co_await until([recorder = far.protocol.get()] { return recorder->count("resume") == 1; });
  for (int i = 0; i != sent; ++i) {
    CHECK(near.protocol->received[static_cast<std::size_t>(i)][0] == static_cast<char>('a' + i % 26));
  }
  co_await near.close();
  co_await far.close();
}
