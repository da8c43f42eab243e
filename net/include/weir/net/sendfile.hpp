// sendfile: a file into a connection, without passing through the process where the system can do that.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/event_loop.hpp>
#include <weir/net/file.hpp>
#include <weir/net/socket.hpp>
#include <weir/net/transport.hpp>

#include <cstdint>
#include <optional>

namespace weir::inline WEIR_ABI {

// What of the file is sent (the arguments of loop.sendfile).
struct SendFileOptions {
  std::int64_t offset = 0;                 // where in the file to begin, in bytes
  std::optional<std::int64_t> count = {};  // how many bytes at most; none: up to the end of the file
  bool fallback = true;  // read and send where the system has nothing better; false: NotSupportedError
};

// EventLoop::sendfile(transport, file, options) (loop.sendfile): what was written to the transport before
// goes first, then the file. Gives the number of bytes sent: fewer than `count` when the file ends before, or
// is cut meanwhile. Reading of the transport pauses until then; writing throws RuntimeError, write_eof()
// waits. The file's position is then offset + bytes sent, also when the call fails or is cancelled; what was
// sent stays sent. The file stays open until it ends, and is the caller's. Loop's thread. Fails with
// std::system_error when the system refuses, which closes the transport unless it was the file that could not
// be read, and with std::errc::bad_file_descriptor when the transport is closed in the middle. Throws at once
// std::invalid_argument for a closed file, a directory, a negative offset and a count that is not positive;
// RuntimeError when the transport is closing, after write_eof() and while another sendfile is in progress;
// NotSupportedError for a transport or a file of a kind that cannot (a pipe).
//
// EventLoop::sock_sendfile(socket, file, options) (loop.sock_sendfile): the same on a connected stream
// socket, which must stay until it ends. Throws at once std::invalid_argument also for a socket of another
// kind, and RuntimeError when something else is being sent on it.

}  // namespace weir::inline WEIR_ABI
