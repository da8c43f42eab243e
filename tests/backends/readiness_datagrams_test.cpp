// The operation layer over a scripted poller: datagrams.
#include "tests/backends/fake_poller.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace fake;

namespace {

struct Receiving : DatagramStream {
  Receiving() {
    on_datagram = [](DatagramStream& stream, std::span<std::byte> data, const RawAddress&) noexcept {
      static_cast<Receiving&>(stream).texts.emplace_back(reinterpret_cast<const char*>(data.data()),
                                                         data.size());
    };
    on_error = [](DatagramStream& stream, std::int64_t) noexcept {
      ++static_cast<Receiving&>(stream).errors;
    };
    on_done = [](Op& op) noexcept { ++static_cast<Receiving&>(op).ends; };
  }
  std::vector<std::string> texts;
  int errors = 0;
  int ends = 0;
};

struct Sending : SendToOp {
  Sending() {
    on_done = [](Op& op) noexcept { ++static_cast<Sending&>(op).answers; };
  }
  int answers = 0;
};

ConstBuffer bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace

TEST_CASE("readiness: datagrams that fit into one receive cost one, and more are taken a batch a turn") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(native, &handle);
  Receiving receiving;
  receiving.handle = handle;
  REQUIRE(loop.backend.start(receiving) == Started::pending);
  loop.turn();
  const int before = loop.kernel.counts.receives;
  loop.kernel.arrive_datagram(native, "1");
  loop.kernel.arrive_datagram(native, "2");
  loop.turns(3);
  CHECK(receiving.texts.size() == 2);
  CHECK(loop.kernel.counts.receives == before + 1);
  for (int i = 0; i != 10; ++i) {
    loop.kernel.arrive_datagram(native, "x");
  }
  loop.turn();
  CHECK(receiving.texts.size() == 6);
  loop.turns(2);
  CHECK(receiving.texts.size() == 12);
  CHECK(loop.kernel.counts.receives == before + 4);
  // An error among the datagrams: what is behind it is heard, though no further event comes.
  loop.kernel.arrive_datagram(native, "before");
  loop.kernel.at(native).failed = ECONNREFUSED;
  loop.turns(4);
  CHECK(receiving.errors == 1);
  CHECK(receiving.texts.size() == 13);
  loop.backend.close(handle);
  loop.run();
  CHECK(receiving.ends == 1);
}

TEST_CASE("readiness: an error that never goes away ends a stream of datagrams, a refusal never does") {
  for (const int error : {ENOMEM, ECONNREFUSED}) {
    CAPTURE(error);
    Loop<true> loop;
    const native_socket native = loop.kernel.open();
    BackendHandle* handle = loop.backend.attach(native, &handle);
    Receiving receiving;
    receiving.handle = handle;
    REQUIRE(loop.backend.start(receiving) == Started::pending);
    for (int turn = 0; turn != 200; ++turn) {
      loop.kernel.at(native).failed = error;
      loop.kernel.at(native).changed = true;
      loop.turn();
    }
    CHECK(receiving.ends == (error == ENOMEM ? 1 : 0));
    CHECK(receiving.errors == (error == ENOMEM ? 63 : 200));
    loop.backend.close(handle);
    loop.run();
    CHECK(receiving.ends == 1);
  }
}

TEST_CASE("readiness: many datagrams leave in one send, and the rest when there is room") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open(3);
  BackendHandle* handle = loop.backend.attach(native, &handle);
  const Datagram five[] = {{bytes("1")}, {bytes("2")}, {bytes("")}, {bytes("4")}, {bytes("5")}};
  CHECK(loop.backend.try_send_to(handle, five) == 3);
  CHECK(loop.kernel.counts.sends == 1);
  Sending sending;
  sending.handle = handle;
  sending.datagrams = std::span(five).subspan(3);
  CHECK(loop.backend.start(sending) == Started::pending);
  loop.turn();
  CHECK(sending.answers == 0);
  loop.kernel.give_room(native, 10);
  loop.turn();
  CHECK(sending.answers == 1);
  CHECK(sending.result == 2);
  CHECK(loop.kernel.at(native).sent_datagrams == std::vector<std::string>{"1", "2", "", "4", "5"});
  loop.backend.close(handle);
  loop.run();
}
