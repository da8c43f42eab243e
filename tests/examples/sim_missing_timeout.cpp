// A program that waits for ever when its peer vanishes, and its mended twin: `sim_missing_timeout`,
// `sim_missing_timeout mended`. And a test that demands the fault instead of waiting for it:
// `sim_missing_timeout demanded`.
#include <weir/weir.hpp>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string_view>

using namespace std::chrono_literals;

class Clock : public weir::Protocol {
 public:
  void connection_made(weir::Ref<weir::Transport> transport) override { transport_ = std::move(transport); }
  void data_received(std::span<const std::byte>) override { transport_->write("noon\n"); }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  weir::Ref<weir::Transport> transport_;
};

// Gives true when an answer came, and false when the connection failed.
weir::Coro<bool> ask_time(weir::Address clock, std::optional<weir::Duration> patience) {
  weir::EventLoop& loop = weir::get_running_loop();
  weir::Socket socket = weir::Socket::open(weir::AddressFamily::inet);
  weir::TimerHandle limit;
  if (patience) {
    limit = loop.call_later(*patience, [&] { socket.close(); });
  }
  bool answered = false;
  try {
    co_await loop.sock_connect(socket, clock);
    co_await loop.sock_sendall(socket, "?");
    const weir::Bytes answer = co_await loop.sock_recv(socket, 100);
    answered = !answer.empty();
  } catch (const std::system_error&) {
    // Refused, reset, or closed by the limit.
  }
  limit.cancel();
  co_return answered;
}

weir::Coro<void> ask_often(bool mended) {
  weir::EventLoop& loop = weir::get_running_loop();
  auto server = co_await loop.create_server([] { return weir::make_ref<Clock>(); }, {.host = "127.0.0.1"});
  const weir::Address clock = server->sockets().front().local_address();
  // A watchdog on virtual time: waiting for it costs nothing, and whatever hangs becomes a failure.
  loop.call_later(24h, [self = weir::current_task()] { self->cancel("still waiting after a day"); });
  for (int i = 0; i != 5; ++i) {
    co_await ask_time(clock, mended ? std::optional<weir::Duration>(30s) : std::nullopt);
  }
  server->close();
  server->abort_clients();
  co_await server->wait_closed();
}

// The hosts are parted while the question is asked; the mended client gives up after its 30 seconds.
weir::Coro<bool> ask_through_a_partition() {
  weir::EventLoop& loop = weir::get_running_loop();
  auto server = co_await loop.create_server([] { return weir::make_ref<Clock>(); }, {.host = "127.0.0.2"});
  const weir::Address clock = server->sockets().front().local_address();
  weir::sim::partition({.host = "127.0.0.1"}, {.host = "127.0.0.2"});
  const weir::TimePoint start = loop.time();
  const bool answered = co_await ask_time(clock, 30s);
  const bool in_time = loop.time() - start < 31s;
  weir::sim::heal();
  const bool answered_later = co_await ask_time(clock, 30s);
  server->close();
  server->abort_clients();
  co_await server->wait_closed();
  co_return !answered && in_time && answered_later;
}

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "demanded") {
    const bool well = weir::run(ask_through_a_partition());
    std::puts(well ? "gave up in time, and went on when the partition was healed"
                   : "something else happened");
    return well ? 0 : 1;
  }
  weir::sim::configure({.vanish_chance = 0.01});  // the seed comes from WEIR_SIM_SEED
  try {
    weir::run(ask_often(what == "mended"));
    return 0;
  } catch (const weir::CancelledError& error) {
    std::printf("seed %llu: %s\n%s", static_cast<unsigned long long>(weir::sim::seed()), error.what(),
                weir::sim::trace(20).c_str());
    return 1;
  }
}
