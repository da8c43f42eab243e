// subprocess_exec and subprocess_shell: child processes as transports with protocols.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/callback.hpp>
#include <weir/detail/raw_address.hpp>
#include <weir/event_loop.hpp>
#include <weir/subprocess/protocol.hpp>
#include <weir/subprocess/transport.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

// What the child's input, output or error output is: the values of asyncio's stdin=, stdout= and stderr=.
class Stdio {
 public:
  enum class Kind : std::uint8_t { by_default, inherit, pipe, devnull, file, merged, terminal };

  // The new terminal if there is one. Else what the call has as its default: a pipe with subprocess_exec and
  // subprocess_shell, what the parent has with create_subprocess_exec and create_subprocess_shell.
  constexpr Stdio() noexcept : Stdio(Kind::by_default) {}
  // What the parent has (None).
  static constexpr Stdio inherit() noexcept { return Stdio(Kind::inherit); }
  // A new pipe, whose other end the transport has (subprocess.PIPE).
  static constexpr Stdio pipe() noexcept { return Stdio(Kind::pipe); }
  // The null device (subprocess.DEVNULL).
  static constexpr Stdio devnull() noexcept { return Stdio(Kind::devnull); }
  // This open file, which stays the caller's and must be open until subprocess_exec is over.
  static constexpr Stdio file(native_file native) noexcept { return Stdio(Kind::file, native); }
  // For the error output: where the output goes (subprocess.STDOUT).
  static constexpr Stdio merged() noexcept { return Stdio(Kind::merged); }
  // The new terminal, which SubprocessOptions::terminal asks for.
  static constexpr Stdio terminal() noexcept { return Stdio(Kind::terminal); }

  constexpr Kind kind() const noexcept { return kind_; }
  // invalid_file unless it is a file.
  constexpr native_file native() const noexcept { return native_; }

 private:
  constexpr explicit Stdio(Kind kind, native_file native = invalid_file) noexcept
      : kind_(kind), native_(native) {}

  Kind kind_;
  native_file native_;
};

// A limit of what the child may use: an RLIMIT_… of <sys/resource.h> (resource.setrlimit). The largest number
// is no limit.
struct ResourceLimit {
  int resource;
  std::uint64_t soft;
  std::uint64_t hard;
};

// What a new child can be told. What it points to is copied by the call. What a system has not got is refused
// with NotSupportedError before anything is started: "unix_process_options", "terminals".
struct SubprocessOptions {
  Stdio std_in = {};   // stdin
  Stdio std_out = {};  // stdout
  Stdio std_err = {};  // stderr
  // The child's working directory; empty: the parent's.
  std::string_view cwd = {};
  // The child's whole environment, "NAME=value" each; nothing: a copy of the parent's.
  std::optional<std::span<const std::string>> env = {};
  // The program to start, when it is not to be looked up as the first argument.
  std::string_view executable = {};
  // Descriptors of the parent that the child has, too, under the same numbers; on Windows, handles.
  std::span<const native_file> pass_fds = {};
  // The child has no other descriptors than 0, 1, 2 and those of pass_fds. Without it, those that are not
  // close-on-exec go to the child.
  bool close_fds = true;
  // The child leads a new session (setsid); on Windows, it has a console of its own, which nobody sees.
  bool start_new_session = false;
  // The child is in this process group; 0: leads a new one. On Windows that one hears of Ctrl-C no more, and
  // of Ctrl-Break when it is sent SIGBREAK; "unix_process_options" are needed for any other.
  std::optional<int> process_group = {};
  // The child leads a new session, and a new terminal of this size is its own (pty.fork). It is what the
  // child has as those of std_in, std_out and std_err that are Stdio() or Stdio::terminal(): what is written
  // to the pipe 0 is typed there, what appears there comes from the pipe 1, or 2 when the output is something
  // else.
  std::optional<TerminalSize> terminal = {};
  // Whom the child runs as, by number, after everything else but the start of the program (Popen's user,
  // group, extra_groups). One who is not allowed to is told so.
  std::optional<unsigned> user = {};
  std::optional<unsigned> group = {};
  std::optional<std::span<const unsigned>> extra_groups = {};
  std::span<const ResourceLimit> limits = {};
  // The permissions that the child's new files do not get.
  std::optional<unsigned> umask = {};
};

namespace detail {

struct SpawnPlan;

// The call that starts a child: its name for errors, and what Stdio() means to it.
struct SpawnCall {
  const char* name;
  Stdio stdio;
};

// The options, checked, with what they pointed to.
WEIR_API std::shared_ptr<const SpawnPlan> plan_exec(EventLoop& loop, SpawnCall call,
                                                    const std::vector<std::string>& args,
                                                    const SubprocessOptions& options);
WEIR_API std::shared_ptr<const SpawnPlan> plan_shell(EventLoop& loop, SpawnCall call,
                                                     std::string_view command,
                                                     const SubprocessOptions& options);
// Starts the child, and gives its transport after connection_made.
WEIR_API Coro<Ref<SubprocessTransport>> start_child(EventLoop& loop, Ref<SubprocessProtocol> protocol,
                                                    std::shared_ptr<const SpawnPlan> plan);

template <class T>
inline constexpr bool is_subprocess_protocol_ref = false;
template <std::derived_from<SubprocessProtocol> P>
inline constexpr bool is_subprocess_protocol_ref<Ref<P>> = true;

// A callable that returns a Ref of a class that derives from SubprocessProtocol.
template <class F>
concept SubprocessProtocolFactory =
    std::invocable<std::decay_t<F>&> && is_subprocess_protocol_ref<ProtocolRef<F>>;

template <class P, class F>
Coro<std::pair<Ref<SubprocessTransport>, P>> start_child_with(EventLoop& loop, F factory,
                                                              std::shared_ptr<const SpawnPlan> plan) {
  P protocol = factory();
  Ref<SubprocessTransport> transport = co_await start_child(loop, protocol, std::move(plan));
  co_return std::pair<Ref<SubprocessTransport>, P>(std::move(transport), std::move(protocol));
}

}  // namespace detail

// Starts `args[0]`, looked up in PATH unless it has a slash, with the arguments `args`, calls `factory` once
// for a protocol, and gives transport and protocol after connection_made (loop.subprocess_exec). Any loop on
// any thread; SIGCHLD is neither needed nor touched. In the child all signals have their default dispositions
// and none is blocked. What it throws, and then there is neither a child nor a descriptor:
// std::invalid_argument for no arguments, a NUL in one, and options that contradict each other;
// std::system_error that names the step that failed and what with, such as "subprocess_exec: exec /no/such";
// what the factory throws; CancelledError, and then the child is killed; NotSupportedError "subprocesses"
// where there are none.
// On Windows all text is UTF-8, ".exe" may be left out, the arguments are quoted as C programs read them
// (CommandLineToArgvW), and a batch file is refused: its arguments are commands to cmd.exe.
template <class F>
Coro<std::pair<Ref<SubprocessTransport>, detail::ProtocolRef<F>>> EventLoop::subprocess_exec(
    F&& factory, const std::vector<std::string>& args, SubprocessOptions options) {
  static_assert(detail::SubprocessProtocolFactory<F>,
                "the factory must return a Ref<P>, P deriving from SubprocessProtocol");
  detail::check_not_empty(factory, "subprocess_exec");
  return detail::start_child_with<detail::ProtocolRef<F>, std::decay_t<F>>(
      *this, std::forward<F>(factory),
      detail::plan_exec(*this, {"subprocess_exec", Stdio::pipe()}, args, options));
}

// The same with `/bin/sh -c command` (loop.subprocess_shell), on Windows `cmd.exe /d /s /c "command"`, where
// kill() and close() end what the command has started, too. What comes from outside must not get into
// `command` unquoted.
template <class F>
Coro<std::pair<Ref<SubprocessTransport>, detail::ProtocolRef<F>>> EventLoop::subprocess_shell(
    F&& factory, std::string_view command, SubprocessOptions options) {
  static_assert(detail::SubprocessProtocolFactory<F>,
                "the factory must return a Ref<P>, P deriving from SubprocessProtocol");
  detail::check_not_empty(factory, "subprocess_shell");
  return detail::start_child_with<detail::ProtocolRef<F>, std::decay_t<F>>(
      *this, std::forward<F>(factory),
      detail::plan_shell(*this, {"subprocess_shell", Stdio::pipe()}, command, options));
}

}  // namespace weir::inline WEIR_ABI
