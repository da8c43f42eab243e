// SubprocessTransport: a child process and the pipes to it (asyncio.SubprocessTransport).
#pragma once

#include <weir/config.hpp>
#include <weir/net/transport.hpp>
#include <weir/ref.hpp>

#include <cstdint>
#include <optional>

namespace weir::inline WEIR_ABI {

// The size of a terminal, in characters.
struct TerminalSize {
  std::uint16_t rows = 24;
  std::uint16_t columns = 80;
};

// Given to a protocol's connection_made. All functions are for the loop's thread. It keeps itself and its
// protocol alive until connection_lost has run. When the loop closes first, a child that still runs is killed
// and reaped, a warning is logged, and connection_lost is not called. close() closes the pipes, dropping what
// the child has not read, and kills a child that still runs; process_exited and connection_lost follow.
class WEIR_API SubprocessTransport : public BaseTransport {
 public:
  // The child's process id; also after its end, when the system may have given it to another (get_pid).
  virtual int get_pid() const noexcept = 0;
  // How the child ended: its exit status, or the negated number of the signal that killed it; nothing while
  // it runs (get_returncode). 255 when somebody else in this process waited for the child and the system does
  // not tell twice. On Windows it is the exit code as a signed number, 1 when the child was killed.
  virtual std::optional<int> get_returncode() const noexcept = 0;
  // The pipe to (0) or from (1, 2) that descriptor of the child; null when there is none, or it is closed
  // (get_pipe_transport).
  virtual Ref<Transport> get_pipe_transport(int fd) const noexcept = 0;
  // Sends a signal to the child (send_signal). It never reaches another process. Throws std::system_error:
  // std::errc::no_such_process when the child has ended, std::errc::invalid_argument for a signal that there
  // is not, std::errc::operation_not_permitted for a child that has become somebody else. Windows knows
  // SIGTERM and SIGKILL (9), which are one and the same, and SIGBREAK for a child that leads a process group;
  // any other throws NotSupportedError "process_signals".
  virtual void send_signal(int signal) = 0;
  // Tells the child's terminal its new size; the system sends SIGWINCH to those who look at it
  // (termios.tcsetwinsize). Throws RuntimeError when the child has no terminal or it is closed.
  virtual void set_terminal_size(TerminalSize size) = 0;
  // send_signal(SIGTERM) (terminate).
  void terminate();
  // send_signal(SIGKILL) (kill).
  void kill();

 protected:
  ~SubprocessTransport() override;
};

}  // namespace weir::inline WEIR_ABI
