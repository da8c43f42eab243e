// sendfile and sock_sendfile: one operation after the other until the file ends, by the system's own call or
// by reading and sending.
#include <weir/net/sendfile.hpp>

#include "net/file_part.hpp"
#include "net/os_error.hpp"
#include "net/socket_access.hpp"
#include "net/stream_transport.hpp"
#include "net/tls/tls.hpp"
#include "runtime/loop_access.hpp"

#include <weir/bytes.hpp>
#include <weir/exceptions.hpp>
#include <weir/task_base.hpp>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <stdexcept>
#include <string>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

constexpr std::size_t most_at_once = std::size_t{1} << 30;  // the system's own limit is a little under 2 GiB
constexpr std::size_t buffer_size = std::size_t{64} * 1024;

// One operation and the wait for it. Gives its result; throws only the task's cancellation.
template <class OpType>
class Step : public AwaiterBase, private CancelHook, public OpType {
 public:
  Step(EventLoop& loop, BackendHandle* on, const char* call) noexcept
      : CancelHook(&cancel_op, call), loop_(&loop) {
    this->handle = on;
  }

  bool await_ready() {
    this->on_done = &done;
    return LoopAccess::backend(*loop_).start(static_cast<OpType&>(*this)) == Started::done &&
           LoopAccess::spend_await_budget(*loop_);
  }
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    task_ = coroutine.promise().task;
    task_->suspend(coroutine, coroutine.promise(), *this);
    if (this->state == OpState::idle) {
      task_->wake();  // done already; it only gives way to others
    }
  }
  std::int64_t await_resume() const {
    if (this->result == -ECANCELED && task_ != nullptr) {
      task_->throw_if_cancelled();
    }
    return this->result;
  }

 private:
  static bool cancel_op(CancelHook& hook, std::string_view) noexcept {
    auto& self = static_cast<Step&>(hook);
    if (self.state == OpState::pending) {
      LoopAccess::backend(*self.loop_).cancel(self);
      self.task_->interrupted();
    }
    return false;
  }
  static void done(Op& op) noexcept { static_cast<Step&>(static_cast<OpType&>(op)).task_->step(); }

  EventLoop* loop_;
  TaskBase* task_ = nullptr;  // null until it suspends
};

// Where the bytes go: one of the two.
struct Target {
  const char* call;
  EventLoop* loop;
  weir::Socket* socket = nullptr;
  Ref<StreamTransport> transport = {};

  // Throws when it is closed.
  BackendHandle* handle() const {
    if (socket != nullptr) {
      BackendHandle* const handle = SocketAccess::attach(*socket, *loop, call);
      if (LoopAccess::backend(*loop).pending(handle, Direction::write) != nullptr) {
        throw RuntimeError(std::string(call) + ": something else is being sent on the socket");
      }
      return handle;
    }
    if (BackendHandle* const handle = transport->file_target(); handle != nullptr) {
      return handle;
    }
    throw os_error(-EBADF, std::string(call) + ": the transport was closed");
  }
  [[noreturn]] void fail(std::int64_t result) const {
    const bool closed = result == -EBADF || result == -ECANCELED;  // a transport cancels when it is lost
    if (transport != nullptr && !closed && result != -EIO) {
      transport->file_failed(result);
    }
    throw os_error(closed ? -EBADF : result, closed ? std::string(call) + ": it was closed" : call);
  }
};

// Until the end of the part or the file; false when the system cannot do it.
Coro<bool> send_natively(const Target& target, FilePart& part) {
  while (part.left(most_at_once) != 0) {
    Step<SendFileOp> step(*target.loop, target.handle(), target.call);
    step.file = part.file->native_handle();
    step.offset = part.at();
    step.count = part.left(most_at_once);
    const std::int64_t result = co_await step;
    if (result == -ENOTSUP) {
      co_return false;
    }
    if (result < 0) {
      target.fail(result);
    }
    if (result == 0) {
      break;
    }
    part.sent += static_cast<std::uint64_t>(result);
  }
  co_return true;
}

Coro<void> read_and_send(const Target& target, FilePart& part) {
  Bytes buffer(part.left(buffer_size));
  while (part.left(buffer_size) != 0) {
    const std::size_t count = part.file->read_at(part.at(), buffer.span().first(part.left(buffer_size)));
    if (count == 0) {
      break;
    }
    for (ConstBuffer rest = buffer.span().first(count); !rest.empty();) {
      Step<SendOp> step(*target.loop, target.handle(), target.call);
      step.buffers = {&rest, 1};
      const std::int64_t result = co_await step;
      if (result < 0) {
        target.fail(result);
      }
      part.sent += static_cast<std::uint64_t>(result);
      rest = rest.subspan(static_cast<std::size_t>(result));
    }
  }
}

Coro<std::uint64_t> send_part(const Target& target, FilePart part) {
  try {
    const bool try_natively = !part.fallback || !rare_path(FaultPoint::read_and_send);
    if (!try_natively || !co_await send_natively(target, part)) {
      if (!part.fallback) {
        throw NotSupportedError(std::string(target.call) + " without fallback");
      }
      co_await read_and_send(target, part);
    }
  } catch (...) {
    part.set_position();
    throw;
  }
  part.set_position();
  co_return part.sent;
}

Coro<std::uint64_t> send_to_socket(Target target, FilePart part) {
  co_return co_await send_part(target, part);
}

Coro<std::uint64_t> send_to_transport(Target target, FilePart part) {
  const FileHold hold(*target.transport);
  if (const std::optional<Future<void>> before = target.transport->written_before(); before) {
    co_await *before;
  }
  co_return co_await send_part(target, part);
}

FilePart plan(const char* call, File& file, const SendFileOptions& options) {
  const auto refuse = [call](const char* why) {
    throw std::invalid_argument(std::string(call) + ": " + why);
  };
  if (!file.is_open()) {
    refuse("the file is closed");
  }
  if (options.offset < 0) {
    refuse("the offset is negative");
  }
  if (options.count && *options.count <= 0) {
    refuse("the count must be positive");
  }
  const FileKind kind = file.kind();
  if (kind == FileKind::directory) {
    refuse("the file is a directory");
  }
  if (kind == FileKind::pipe || kind == FileKind::socket) {
    throw NotSupportedError(std::string(call) + " from a pipe or socket");
  }
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const auto offset = static_cast<std::uint64_t>(options.offset);
  const std::uint64_t count = options.count ? static_cast<std::uint64_t>(*options.count) : most - offset;
  return {&file, offset, std::min(count, most - offset), options.fallback};
}

}  // namespace

void FilePart::set_position() const noexcept { Backend::Files::set_position(file->native_handle(), at()); }

}  // namespace detail

Coro<std::uint64_t> EventLoop::sock_sendfile(Socket& socket, File& file, SendFileOptions options) {
  constexpr const char* call = "sock_sendfile";
  const detail::FilePart part = detail::plan(call, file, options);
  if (detail::Backend::Sockets::type(socket.native_handle()) !=
      static_cast<std::int64_t>(SocketType::stream)) {
    throw std::invalid_argument(std::string(call) + ": a stream socket was expected");
  }
  const detail::Target target{call, this, &socket};
  target.handle();
  return detail::send_to_socket(target, part);
}

Coro<std::uint64_t> EventLoop::sendfile(Ref<Transport> transport, File& file, SendFileOptions options) {
  constexpr const char* call = "sendfile";
  if (transport == nullptr) {
    throw std::invalid_argument("sendfile: the transport is null");
  }
  const detail::FilePart part = detail::plan(call, file, options);
  Ref<detail::StreamTransport> stream(dynamic_cast<detail::StreamTransport*>(transport.get()));
  if (transport->is_closing()) {
    throw RuntimeError("sendfile: the transport is closing");
  }
  if (&transport->get_loop() != this) {
    throw RuntimeError("sendfile: the transport belongs to another loop");
  }
  if (detail::is_encrypted(*transport)) {
    detail::check_encrypted_file(*transport);
    return detail::send_encrypted_file(std::move(transport), part);
  }
  if (stream == nullptr) {
    throw NotSupportedError(call);
  }
  stream->check_file();
  return detail::send_to_transport({call, this, nullptr, std::move(stream)}, part);
}

}  // namespace weir::inline WEIR_ABI
