// `weir connect`: standard input to a server, and what it answers to standard output.
#include "tools/weir/standard.hpp"
#include "tools/weir/verbs.hpp"

#include <weir/net/file.hpp>
#include <weir/net/pipe.hpp>
#include <weir/net/sendfile.hpp>
#include <weir/net/streams.hpp>
#include <weir/policy.hpp>
#include <weir/tasks.hpp>

#include <exception>
#include <system_error>
#include <utility>

namespace program {

namespace {

using weir::Coro;
using weir::EventLoop;
using weir::Ref;

constexpr std::size_t most_at_once = 64 * 1024;

struct ClosedAtEnd {
  Ref<weir::Transport> transport;
  ~ClosedAtEnd() { transport->close(); }
};

// What sending and receiving know of each other.
struct Exchange {
  EventLoop& loop;
  const ConnectPlan& plan;
  Ref<weir::StreamReader> reader;
  weir::StreamWriter& writer;
  weir::TimePoint last_news = {};
  bool is_reading = false;  // rather than writing what came
};

// False when the connection is gone: whether that is well, receiving tells.
Coro<bool> drain(Exchange& exchange) {
  try {
    co_await exchange.writer.drain();
  } catch (const std::system_error&) {
    co_return false;
  }
  co_return true;
}

Coro<void> send_input(Exchange& exchange, StandardInput& input) {
  weir::StreamWriter& writer = exchange.writer;
  if (input.is_regular_file()) {
    const std::uint64_t begin = input.file().position();
    if (begin < input.file().size()) {
      const weir::SendFileOptions rest{.offset = static_cast<std::int64_t>(begin)};
      co_await exchange.loop.sendfile(writer.transport(), input.file(), rest);
    }
    co_return;
  }
  for (;;) {
    weir::Bytes data = co_await input.read(exchange.loop, most_at_once);
    if (data.empty()) {
      co_return;
    }
    writer.write(std::move(data));
    const bool goes_on = co_await drain(exchange);
    if (!goes_on) {
      co_return;
    }
  }
}

// Until no answer has come for a while after the last byte went out.
Coro<void> wait_for_silence(Exchange& exchange) {
  exchange.writer.transport()->set_write_buffer_limits(0);
  co_await drain(exchange);
  exchange.last_news = exchange.loop.time();
  for (;;) {
    const weir::Duration left = exchange.last_news + exchange.plan.linger - exchange.loop.time();
    if (exchange.is_reading && left <= weir::Duration(0)) {
      co_return;
    }
    co_await weir::sleep(exchange.is_reading ? left : exchange.plan.linger);
  }
}

// TLS knows no end of one side alone.
Coro<void> send_all_and_end(Exchange& exchange, StandardInput& input) {
  co_await send_input(exchange, input);
  if (exchange.writer.can_write_eof()) {
    exchange.writer.write_eof();
  } else {
    co_await wait_for_silence(exchange);
    exchange.writer.close();
  }
}

// Without its input, the connection is of no use.
Coro<void> send_or_abort(Exchange& exchange, StandardInput& input) {
  try {
    co_await send_all_and_end(exchange, input);
  } catch (...) {
    exchange.writer.transport()->abort();
    throw;
  }
}

Coro<void> receive_output(Exchange& exchange) {
  StandardOutput output;
  for (;;) {
    exchange.last_news = exchange.loop.time();
    exchange.is_reading = true;
    weir::Bytes data = co_await exchange.reader->read(static_cast<std::ptrdiff_t>(most_at_once));
    exchange.is_reading = false;
    if (data.empty()) {
      break;
    }
    co_await output.write(exchange.loop, std::move(data));
  }
  co_await output.finish();
}

Coro<weir::StreamPair> open(const ConnectPlan& plan, const TlsSettings& tls) {
  if (plan.target.is_unix()) {
    weir::UnixConnectionOptions options;
    options.path = plan.target.path;
    options.timeout = plan.timeout;
    return weir::open_unix_connection(options);
  }
  weir::ConnectionOptions options;
  options.host = plan.target.host;
  options.port = plan.target.port;
  options.timeout = plan.timeout;
  options.happy_eyeballs_delay = std::chrono::milliseconds(250);
  if (tls != nullptr) {
    options.ssl = tls.get();
    options.ssl_shutdown_timeout = plan.timeout;
  }
  return weir::open_connection(options);
}

// Ends with the peer's end. What is still to be sent then has nobody to go to.
Coro<void> run_both(Exchange& exchange) {
  StandardInput input;
  weir::Task<void> sending = exchange.loop.create_task(send_or_abort(exchange, input));
  std::exception_ptr error;
  try {
    co_await receive_output(exchange);
  } catch (...) {
    error = std::current_exception();
  }
  const bool has_failed = sending.done() && !sending.cancelled() && sending.exception() != nullptr;
  if (has_failed) {
    error = sending.exception();
  }
  sending.cancel();
  while (!sending.done()) {
    co_await weir::sleep(std::chrono::seconds(0));
  }
  if (error) {
    std::rethrow_exception(std::move(error));
  }
}

}  // namespace

Coro<int> connect(const ConnectPlan& plan) {
  EventLoop& loop = weir::get_running_loop();
  if (plan.target.is_udp) {
    co_await connect_datagrams(loop, plan);
    co_return 0;
  }
  const TlsSettings tls = plan.target.is_tls ? connecting_settings(plan.tls, "connect") : nullptr;
  const weir::StreamPair stream = co_await open(plan, tls);
  const ClosedAtEnd closed{stream.second->transport()};
  if (plan.tls.verbose) {
    tell_tls(*stream.second->transport(), "connect");
  }
  Exchange exchange{loop, plan, stream.first, *stream.second};
  co_await run_both(exchange);
  co_return 0;
}

}  // namespace program
