// Flow control both ways: limits, pausing and resuming. Mirrored by flow.py.
#include "tests/asyncio_parity/wire.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

using namespace parity;
using namespace std::chrono_literals;
using weir::Coro;
using weir::make_ref;
using weir::Ref;

namespace {

constexpr const char* group = "flow";

using Limit = std::optional<std::ptrdiff_t>;

std::string much() { return std::string(large, 'x'); }

std::string limits(const Ref<weir::Transport>& transport) {
  const weir::WriteBufferLimits now = transport->get_write_buffer_limits();
  return std::to_string(now.low) + ".." + std::to_string(now.high);
}

Coro<void> resumed(Ref<Recorder> protocol) {
  while (std::find(protocol->kept.begin(), protocol->kept.end(), "protocol resume_writing") ==
         protocol->kept.end()) {
    co_await weir::sleep(0s);
  }
}

}  // namespace

SCENARIO(limits_of_the_write_buffer) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  trace(limits(transport), transport->get_write_buffer_size());
  const std::vector<std::pair<Limit, Limit>> good{{{}, {}}, {1000, {}}, {{}, 1000}, {1000, 10},
                                                  {0, {}},  {{}, 0},    {5, 5}};
  for (const auto& [high, low] : good) {
    transport->set_write_buffer_limits(high, low);
    trace(limits(transport));
  }
  const std::vector<std::pair<Limit, Limit>> bad{{1, 2}, {-1, {}}, {{}, -1}};
  for (const auto& [high, low] : bad) {
    const std::string error = outcome([&, h = high, l = low] { transport->set_write_buffer_limits(h, l); });
    trace(error, limits(transport));
  }
  transport->close();
  co_await protocol->lost;
}

SCENARIO(paused_inside_the_write) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  protocol->hooks["pause_writing"] = [&] { trace(transport->get_write_buffer_size() > 65536); };
  protocol->hooks["resume_writing"] = [&] {
    trace(transport->get_write_buffer_size() <= 16384);
    loop.call_soon([&] { transport->close(); });
  };
  trace("writes");
  transport->write(much());
  trace("wrote");
  transport->write(much());
  trace("wrote more");
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(paused_once_and_again) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  int rounds = 0;
  const auto produce = [&] {
    if (++rounds <= 3) {
      transport->write(much());
    } else {
      loop.call_soon([&] { transport->close(); });
    }
  };
  protocol->hooks["resume_writing"] = produce;
  produce();
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(a_limit_of_nothing) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  transport->set_write_buffer_limits(0);
  transport->write(much());
  protocol->hooks["resume_writing"] = [&] {
    trace(transport->get_write_buffer_size());
    loop.call_soon([&] { transport->close(); });
  };
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(a_high_limit) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  transport->set_write_buffer_limits(4 * large);
  transport->write(much());
  trace("not paused", transport->get_write_buffer_size() > 0);
  transport->set_write_buffer_limits(1000);
  trace("limits set");
  transport->close();
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(aborted_while_paused) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  protocol->hooks["pause_writing"] = [&] { transport->abort(); };
  transport->write(much());
  trace(transport->is_closing());
  co_await protocol->lost;
}

SCENARIO(closed_in_pause_writing) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  protocol->hooks["pause_writing"] = [&] { transport->close(); };
  transport->write(much());
  trace(transport->is_closing());
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(pausing_and_resuming_throw) {
  auto protocol = make_ref<Recorder>();
  protocol->hooks["pause_writing"] = [] { throw Oops("pause"); };
  protocol->hooks["resume_writing"] = [] { throw Oops("resume"); };
  auto peer = co_await wire(loop, protocol);
  protocol->transport->write(much());
  trace("wrote");
  protocol->transport->close();
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(reading_is_paused) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  transport->pause_reading();
  transport->pause_reading();
  trace(transport->is_reading());
  co_await loop.sock_sendall(peer, "waits");
  co_await settle();
  trace("nothing came:", protocol->received.empty());
  transport->resume_reading();
  transport->resume_reading();
  trace(transport->is_reading(), protocol->received.empty());
  co_await arrived(protocol, 5);
  trace(protocol->received);
  transport->close();
  transport->pause_reading();
  transport->resume_reading();
  trace(transport->is_reading());
  co_await protocol->lost;
}

SCENARIO(reading_is_paused_by_what_arrives) {
  auto protocol = make_ref<Recorder>();
  protocol->hooks["data"] = [own = protocol.get()] {
    trace("data", own->received);
    own->transport->pause_reading();
  };
  auto peer = co_await wire(loop, protocol);
  for (const std::size_t number : {1U, 2U, 3U}) {
    const std::string sent = text(number);
    co_await loop.sock_sendall(peer, sent);
    co_await settle();
    trace("so far", protocol->received);
    protocol->transport->resume_reading();
    co_await arrived(protocol, number);
  }
  peer.close();
  protocol->transport->resume_reading();
  co_await protocol->lost;
}

SCENARIO(a_buffered_reader_is_paused) {
  auto protocol = make_ref<BufferedRecorder>();
  protocol->hooks["data"] = [own = protocol.get()] { own->transport->pause_reading(); };
  auto peer = co_await wire(loop, protocol);
  const std::string sent(250, 'x');
  co_await loop.sock_sendall(peer, sent);
  peer.close();
  while (!protocol->lost.done()) {
    co_await settle();
    trace("at most 100 came:", protocol->received.size() <= 100);
    protocol->memory.resize(1000);
    protocol->hooks.clear();
    protocol->transport->resume_reading();
    co_await protocol->lost;
  }
}

SCENARIO(writing_while_reading_is_paused) {
  auto protocol = make_ref<Recorder>("protocol", true);
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  transport->pause_reading();
  transport->write(much());
  transport->write_eof();
  trace(co_await read_all(loop, peer));
  co_await resumed(protocol);
  peer.close();
  transport->resume_reading();
  co_await protocol->lost;
  for (const std::string& line : protocol->kept) {
    trace(line);
  }
}
