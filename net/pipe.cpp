// connect_read_pipe and connect_write_pipe, but for the templates around the protocol factory.
#include <weir/net/pipe.hpp>

#include "net/os_error.hpp"
#include "net/socket_access.hpp"
#include "net/stream_transport.hpp"
#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>

#include <cerrno>
#include <stdexcept>
#include <string>

namespace weir::inline WEIR_ABI::detail {

namespace {

const char* name_of(FileKind kind) noexcept {
  switch (kind) {
    case FileKind::regular:
      return "a regular file";
    case FileKind::directory:
      return "a directory";
    case FileKind::pipe:
    case FileKind::character_device:
    case FileKind::socket:
    case FileKind::other:
      break;
  }
  return "something that no loop can wait for";
}

// May block the loop, or can be waited for in no way.
bool is_taken(FileKind kind) noexcept {
  return kind == FileKind::pipe || kind == FileKind::character_device || kind == FileKind::socket;
}

Coro<Ref<Transport>> start_pipe(EventLoop& loop, weir::Socket pipe, Ref<BaseProtocol> protocol,
                                Direction direction, const char* call) {
  Ref<StreamTransport> transport =
      StreamTransport::make_pipe(loop, pipe, std::move(protocol), copy_context(), direction);
  return begun(std::move(transport), call);
}

}  // namespace

weir::Socket take_pipe(EventLoop& loop, File pipe, const char* call) {
  LoopAccess::check_open(loop, call);
  if (!pipe.is_open()) {
    throw std::invalid_argument(std::string(call) + ": the pipe is closed");
  }
  if (const FileKind kind = pipe.kind(); !is_taken(kind)) {
    throw std::invalid_argument(
        std::string(call) + ": a pipe, a character device or a socket was expected, not " + name_of(kind));
  }
  const std::int64_t adopted = Backend::Sockets::adopt(pipe.native_handle());
  if (adopted == -ENOTSUP) {
    throw NotSupportedError(call, "native_descriptors");
  }
  check(adopted, call);
  return SocketAccess::own(pipe.release());
}

Coro<Ref<Transport>> start_read_pipe(EventLoop& loop, weir::Socket pipe, Ref<BaseProtocol> protocol) {
  return start_pipe(loop, std::move(pipe), std::move(protocol), Direction::read, "connect_read_pipe");
}

Coro<Ref<Transport>> start_write_pipe(EventLoop& loop, weir::Socket pipe, Ref<BaseProtocol> protocol) {
  return start_pipe(loop, std::move(pipe), std::move(protocol), Direction::write, "connect_write_pipe");
}

}  // namespace weir::inline WEIR_ABI::detail
