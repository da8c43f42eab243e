// create_subprocess_exec, create_subprocess_shell and Process: children for coroutines.
#pragma once

#include <weir/bytes.hpp>
#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/net/stream_reader.hpp>
#include <weir/net/stream_writer.hpp>
#include <weir/ref.hpp>
#include <weir/subprocess/exec.hpp>
#include <weir/subprocess/transport.hpp>

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

namespace detail {
class ProcessProtocol;
}  // namespace detail

// What Process::communicate can be told beyond the input.
struct CommunicateOptions {
  // How long all of it may take; nothing: as long as it likes.
  std::optional<Duration> timeout = {};
  // How many bytes either output may have.
  std::size_t max_output = std::numeric_limits<std::size_t>::max();
};

// A child process and its streams (asyncio.subprocess.Process). For the loop's thread. When the last Ref is
// dropped the child goes on; when the loop is closed it is killed.
class WEIR_API Process final : public RefCounted {
 public:
  // As SubprocessTransport has them (pid, returncode, send_signal, terminate, kill).
  int pid() const noexcept { return transport_->get_pid(); }
  std::optional<int> returncode() const noexcept { return transport_->get_returncode(); }
  void send_signal(int signal) { transport_->send_signal(signal); }
  void terminate() { transport_->terminate(); }
  void kill() { transport_->kill(); }

  // The streams to and from the child (stdin, stdout, stderr); null for what is no pipe.
  const Ref<StreamWriter>& std_in() const noexcept;
  const Ref<StreamReader>& std_out() const noexcept;
  const Ref<StreamReader>& std_err() const noexcept;
  // What is below, for example to close() it: that kills the child and closes its pipes.
  const Ref<SubprocessTransport>& transport() const noexcept { return transport_; }

  // Waits until the child has ended: its return code (wait). Several tasks may wait, and cancelling one
  // leaves the others and the child alone. Whoever else holds the child's pipes is not waited for. A child
  // whose output nobody reads may never end: see communicate().
  Coro<int> wait();
  // Sends `input`, ends the child's input, collects both outputs to their ends, and waits for the child:
  // gives what it wrote to its output and to its error output (communicate). Call it once, and do not use the
  // streams besides. `input` must stay in place until it is over; that a child does not read all of it is no
  // error. When it is cancelled the child goes on, and what was read is lost. Throws std::invalid_argument
  // for an input where there is no pipe for it; TimeoutError when options.timeout is over, and
  // LimitOverrunError when there is more output than options.max_output: then the child has been killed and
  // reaped.
  Coro<std::pair<Bytes, Bytes>> communicate();
  Coro<std::pair<Bytes, Bytes>> communicate(std::string_view input);
  Coro<std::pair<Bytes, Bytes>> communicate(std::string_view input, CommunicateOptions options);

  // For weir's own rooms.
  Process(Ref<SubprocessTransport> transport, Ref<detail::ProcessProtocol> protocol) noexcept;

 protected:
  ~Process() override;

 private:
  Ref<SubprocessTransport> transport_;
  Ref<detail::ProcessProtocol> protocol_;
};

// Starts a child on the running loop (asyncio.create_subprocess_exec, create_subprocess_shell). Arguments,
// options and what they throw are those of EventLoop::subprocess_exec and subprocess_shell, but the child has
// the parent's input and outputs unless the options say otherwise. `limit`, in bytes, is that of both
// readers: see StreamReader. Throws RuntimeError when no loop runs.
WEIR_API Coro<Ref<Process>> create_subprocess_exec(const std::vector<std::string>& args);
WEIR_API Coro<Ref<Process>> create_subprocess_exec(const std::vector<std::string>& args,
                                                   const SubprocessOptions& options,
                                                   std::ptrdiff_t limit = default_stream_limit);
WEIR_API Coro<Ref<Process>> create_subprocess_shell(std::string_view command);
WEIR_API Coro<Ref<Process>> create_subprocess_shell(std::string_view command,
                                                    const SubprocessOptions& options,
                                                    std::ptrdiff_t limit = default_stream_limit);

}  // namespace weir::inline WEIR_ABI
