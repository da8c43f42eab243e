// SubprocessProtocol: what the transport of a child process calls (asyncio.SubprocessProtocol).
#pragma once

#include <weir/config.hpp>
#include <weir/net/protocol.hpp>
#include <weir/ref.hpp>

#include <cstddef>
#include <exception>
#include <span>

namespace weir::inline WEIR_ABI {

class SubprocessTransport;

// Derive from it and override what you need. The order is connection_made, then data and ends of the pipes
// and, at any time between them, process_exited, then exactly one connection_lost, when the child has ended
// and all pipes are closed. pause_writing and resume_writing are those of the pipe to the child's input. All
// calls come on the loop's thread, in the context of subprocess_exec.
class WEIR_API SubprocessProtocol : public BaseProtocol {
 public:
  SubprocessProtocol() noexcept : BaseProtocol(detail::ProtocolKind::subprocess) {}

  // The child runs (connection_made). See Protocol::connection_made.
  virtual void connection_made(Ref<SubprocessTransport> transport);
  // The child has written bytes, at least one, into its descriptor `fd`: 1 or 2 (pipe_data_received). The
  // memory is lent until this returns. An exception thrown here is reported and closes that pipe.
  virtual void pipe_data_received(int fd, std::span<const std::byte> data);
  // The pipe of the child's descriptor `fd` is closed, from whichever end (pipe_connection_lost). `error` is
  // null unless something went wrong. An exception thrown here is reported.
  virtual void pipe_connection_lost(int fd, std::exception_ptr error);
  // The child has ended, and its return code is known (process_exited). Others may still hold its pipes, and
  // what it wrote may still be on its way. An exception thrown here is reported.
  virtual void process_exited();

 protected:
  ~SubprocessProtocol() override;
};

}  // namespace weir::inline WEIR_ABI
