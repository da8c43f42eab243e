// `weir connect`: standard input to a server, and what it answers to standard output.
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

constexpr weir::native_file standard_input = 0;
constexpr weir::native_file standard_output = 1;
constexpr std::ptrdiff_t most_at_once = 64 * 1024;

// What the program was started with. Waiting for it makes it non-blocking for everybody who has it, the shell
// among them, so that it becomes in the end what it was.
class Standard {
 public:
  explicit Standard(weir::native_file number)
      : file_(weir::File::duplicate(number)), was_blocking_(file_.is_blocking()) {}
  Standard(const Standard&) = delete;
  Standard& operator=(const Standard&) = delete;
  ~Standard() {
    try {
      file_.set_non_blocking(!was_blocking_);
    } catch (const std::system_error&) {
      // It is gone: nobody is left to notice.
    }
  }

  bool is_regular_file() const { return file_.kind() == weir::FileKind::regular; }
  weir::File& file() noexcept { return file_; }
  weir::File duplicate() const { return weir::File::duplicate(file_.native_handle()); }

 private:
  weir::File file_;
  bool was_blocking_;
};

struct ClosedAtEnd {
  Ref<weir::Transport> transport;
  ~ClosedAtEnd() { transport->close(); }
};

Coro<void> send_input(EventLoop& loop, Standard& input, weir::StreamWriter& writer) {
  if (input.is_regular_file()) {
    const std::uint64_t begin = input.file().position();
    if (begin < input.file().size()) {
      const weir::SendFileOptions rest{.offset = static_cast<std::int64_t>(begin)};
      co_await loop.sendfile(writer.transport(), input.file(), rest);
    }
  } else {
    const Ref<weir::StreamReader> reader = weir::make_ref<weir::StreamReader>(loop);
    const auto factory = [&reader] { return weir::make_ref<weir::StreamReaderProtocol>(reader); };
    auto pipe = co_await loop.connect_read_pipe(factory, input.duplicate());
    const ClosedAtEnd closed{pipe.first};
    for (;;) {
      weir::Bytes data = co_await reader->read(most_at_once);
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
Coro<void> send_or_abort(EventLoop& loop, Standard& input, weir::StreamWriter& writer) {
  try {
    co_await send_input(loop, input, writer);
  } catch (...) {
    writer.transport()->abort();
    throw;
  }
}

// To the disk at once, as far as it takes it.
Coro<void> write_file(Ref<weir::StreamReader> reader, weir::File& file) {
  for (;;) {
    const weir::Bytes data = co_await reader->read(most_at_once);
    if (data.empty()) {
      co_return;
    }
    for (std::size_t written = 0; written != data.size();) {
      written += file.write(data.span().subspan(written));
    }
  }
}

Coro<void> write_pipe(EventLoop& loop, Ref<weir::StreamReader> reader, weir::File file) {
  const Ref<weir::StreamReader> nothing = weir::make_ref<weir::StreamReader>(loop);
  const auto factory = [&nothing] { return weir::make_ref<weir::StreamReaderProtocol>(nothing); };
  auto pipe = co_await loop.connect_write_pipe(factory, std::move(file));
  const ClosedAtEnd closed{pipe.first};
  const Ref<weir::StreamWriter> writer = weir::make_ref<weir::StreamWriter>(pipe.first, pipe.second, nothing);
  for (;;) {
    weir::Bytes data = co_await reader->read(most_at_once);
    if (data.empty()) {
      break;
    }
    writer->write(std::move(data));
    co_await writer->drain();
  }
  writer->close();
  co_await writer->wait_closed();
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
  Standard input(standard_input);
  Standard output(standard_output);
  weir::Task<void> sending = loop.create_task(send_or_abort(loop, input, writer));
  std::exception_ptr error;
  try {
    if (output.is_regular_file()) {
      co_await write_file(reader, output.file());
    } else {
      co_await write_pipe(loop, reader, output.duplicate());
    }
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
  const weir::StreamPair stream = co_await open(plan);
  const ClosedAtEnd closed{stream.second->transport()};
  co_await exchange(loop, stream.first, *stream.second);
  co_return 0;
}

}  // namespace program
