// `weir connect udp://…`: pieces of standard input as datagrams, and what comes back to standard output.
#include "tools/weir/standard.hpp"
#include "tools/weir/verbs.hpp"

#include <weir/future.hpp>
#include <weir/net/sock_datagrams.hpp>
#include <weir/net/sock_ops.hpp>
#include <weir/net/socket.hpp>
#include <weir/policy.hpp>
#include <weir/tasks.hpp>

#include <exception>
#include <span>
#include <utility>
#include <vector>

namespace program {

namespace {

using weir::Coro;
using weir::EventLoop;

constexpr std::size_t most_of_piece = 1400;  // fits into the packets of nearly every way
constexpr std::size_t most_of_datagram = 65536;

struct Exchange {
  EventLoop& loop;
  const ConnectPlan& plan;
  weir::Socket socket;
  weir::Address peer;
  weir::TimePoint last_news;
  weir::Future<void> over;
};

Coro<void> send_input(Exchange& exchange) {
  StandardInput input;
  for (;;) {
    const weir::Bytes piece = co_await input.read(exchange.loop, most_of_piece);
    if (piece.empty()) {
      co_return;
    }
    co_await exchange.loop.sock_sendto(exchange.socket, piece.span(), exchange.peer);
  }
}

Coro<void> receive_output(Exchange& exchange) {
  StandardOutput output;
  std::vector<std::byte> memory(most_of_datagram);
  for (;;) {
    const auto [size, from] = co_await exchange.loop.sock_recvfrom_into(exchange.socket, memory);
    exchange.last_news = exchange.loop.time();
    co_await output.write(exchange.loop, weir::Bytes(std::span(memory).first(size)));
  }
}

// When the input is over and nothing comes any more, or one side has failed, all is over.
Coro<void> wait_for_silence(Exchange& exchange) {
  exchange.last_news = exchange.loop.time();
  for (;;) {
    const weir::TimePoint until = exchange.last_news + exchange.plan.linger;
    if (until <= exchange.loop.time()) {
      co_return;
    }
    co_await weir::sleep(until - exchange.loop.time());
  }
}

Coro<void> send_and_linger(Exchange& exchange) {
  co_await send_input(exchange);
  co_await wait_for_silence(exchange);
}

Coro<void> run_both(Exchange& exchange) {
  weir::Task<void> tasks[] = {exchange.loop.create_task(receive_output(exchange)),
                              exchange.loop.create_task(send_and_linger(exchange))};
  for (const weir::Task<void>& task : tasks) {
    task.add_done_callback([over = exchange.over] {
      if (!over.done()) {
        over.set_result();
      }
    });
  }
  std::exception_ptr error;
  try {
    co_await exchange.over;
  } catch (...) {
    error = std::current_exception();
  }
  for (weir::Task<void>& task : tasks) {
    if (task.done() && !task.cancelled() && task.exception() != nullptr) {
      error = task.exception();
    }
    task.cancel();
    while (!task.done()) {
      co_await weir::sleep(std::chrono::seconds(0));
    }
  }
  if (error) {
    std::rethrow_exception(std::move(error));
  }
}

}  // namespace

Coro<void> connect_datagrams(EventLoop& loop, const ConnectPlan& plan) {
  const std::vector<weir::Address> addresses = co_await addresses_of(loop, plan.target);
  const weir::Address& peer = addresses.at(0);
  Exchange exchange{loop, plan,        weir::Socket::open(peer.family(), weir::SocketType::datagram),
                    peer, loop.time(), loop.create_future<void>()};
  co_await loop.sock_connect(exchange.socket, peer);
  co_await run_both(exchange);
}

}  // namespace program
