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

Coro<void> send_input(EventLoop& loop, StandardInput& input, weir::StreamWriter& writer) {
  if (input.is_regular_file()) {
    const std::uint64_t begin = input.file().position();
    if (begin < input.file().size()) {
      const weir::SendFileOptions rest{.offset = static_cast<std::int64_t>(begin)};
      co_await loop.sendfile(writer.transport(), input.file(), rest);
    }
  } else {
    for (;;) {
      weir::Bytes data = co_await input.read(loop, most_at_once);
      if (data.empty()) {
        break;
      }
      writer.write(std::move(data));
      co_await writer.drain();
    }
  }
  writer.write_eof();
}

// Without its input, the connection is of no use.
Coro<void> send_or_abort(EventLoop& loop, StandardInput& input, weir::StreamWriter& writer) {
  try {
    co_await send_input(loop, input, writer);
  } catch (...) {
    writer.transport()->abort();
    throw;
  }
}

Coro<void> receive_output(EventLoop& loop, weir::StreamReader& reader) {
  StandardOutput output;
  for (;;) {
    weir::Bytes data = co_await reader.read(static_cast<std::ptrdiff_t>(most_at_once));
    if (data.empty()) {
      break;
    }
    co_await output.write(loop, std::move(data));
  }
  co_await output.finish();
}

Coro<weir::StreamPair> open(const ConnectPlan& plan) {
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
  return weir::open_connection(options);
}

// Ends with the peer's end. What is still to be sent then has nobody to go to.
Coro<void> exchange(EventLoop& loop, Ref<weir::StreamReader> reader, weir::StreamWriter& writer) {
  StandardInput input;
  weir::Task<void> sending = loop.create_task(send_or_abort(loop, input, writer));
  std::exception_ptr error;
  try {
    co_await receive_output(loop, *reader);
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
  const weir::StreamPair stream = co_await open(plan);
  const ClosedAtEnd closed{stream.second->transport()};
  co_await exchange(loop, stream.first, *stream.second);
  co_return 0;
}

}  // namespace program
