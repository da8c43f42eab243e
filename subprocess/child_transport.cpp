// The life of a child: pipes, its end, and connection_lost when both are over.
#include "subprocess/child_transport.hpp"

#include "net/begin_awaiter.hpp"
#include "net/os_error.hpp"
#include "net/transport_calls.hpp"
#include "subprocess/child_pipes.hpp"
#include "subprocess/terminal.hpp"

#include <weir/exceptions.hpp>
#include <weir/log.hpp>
#include <weir/net/extra.hpp>
#include <weir/net/pipe.hpp>

#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <string>
#include <utility>

namespace weir::inline WEIR_ABI {

SubprocessProtocol::~SubprocessProtocol() = default;
void SubprocessProtocol::connection_made(Ref<SubprocessTransport>) {}
void SubprocessProtocol::pipe_data_received(int, std::span<const std::byte>) {}
void SubprocessProtocol::pipe_connection_lost(int, std::exception_ptr) {}
void SubprocessProtocol::process_exited() {}

SubprocessTransport::~SubprocessTransport() = default;
void SubprocessTransport::terminate() { send_signal(SIGTERM); }
void SubprocessTransport::kill() { send_signal(detail::kill_signal); }

namespace detail {

// The protocol of one pipe. It keeps the transport until the pipe is lost.
class ChildTransport::Pipe final : public Protocol {
 public:
  Pipe(ChildTransport& child, int fd) noexcept : child_(&child), fd_(fd) {}

  void data_received(std::span<const std::byte> data) override { child_->received(fd_, data); }
  void pause_writing() override { child_->flow(&BaseProtocol::pause_writing); }
  void resume_writing() override { child_->flow(&BaseProtocol::resume_writing); }
  void connection_lost(std::exception_ptr error) override { child_->pipe_lost(fd_, std::move(error)); }

 private:
  ~Pipe() override = default;

  Ref<ChildTransport> child_;
  int fd_;
};

namespace {

Ends open_ends(const SpawnPlan& plan, int fd) {
  switch (plan.stdio[static_cast<std::size_t>(fd)].kind()) {
    case Stdio::Kind::devnull:
      return open_null_device(fd);
    case Stdio::Kind::pipe:
      return open_child_pipe(fd);
    default:
      return {};
  }
}

bool is_terminal(const SpawnPlan& plan, std::size_t fd) noexcept {
  return plan.stdio[fd].kind() == Stdio::Kind::terminal;
}

// The parent's end of it is written to as the child's input, and read from as its output.
Terminal terminal_for(const SpawnPlan& plan, std::array<Ends, 3>& ends) {
  Terminal terminal = open_terminal(*plan.terminal, plan.call);
  if (is_terminal(plan, 0)) {
    ends[0].of_parent = File::duplicate(terminal.of_parent.native_handle());
  }
  if (is_terminal(plan, 1) || is_terminal(plan, 2)) {
    ends[is_terminal(plan, 1) ? 1 : 2].of_parent = std::move(terminal.of_parent);
  }
  return terminal;
}

}  // namespace

ChildTransport::ChildTransport(EventLoop& loop, Ref<SubprocessProtocol> protocol, ChildProcess child)
    : LoopResource(loop, &loop_closed), child_(std::move(child)), protocol_(std::move(protocol)) {
  on_ready = &exit_seen;
}

Ref<ChildTransport> ChildTransport::make(EventLoop& loop, Ref<SubprocessProtocol> protocol,
                                         const SpawnPlan& plan) {
  if (protocol == nullptr) {
    throw std::invalid_argument("the protocol factory returned no protocol");
  }
  std::array<Ends, 3> ends;
  ChildProcess::Given given;
  const Terminal terminal = plan.terminal ? terminal_for(plan, ends) : Terminal();
  given.terminal = terminal.of_child.native_handle();
  for (int fd = 0; fd != 3; ++fd) {
    const auto at = static_cast<std::size_t>(fd);
    const Stdio stdio = plan.stdio[at];
    if (stdio.kind() == Stdio::Kind::terminal) {
      given.standard[at] = given.terminal;
    } else if (stdio.kind() == Stdio::Kind::merged) {
      given.is_merged = true;
    } else {
      ends[at] = open_ends(plan, fd);
      given.standard[at] = ends[at].of_child.is_open() ? ends[at].of_child.native_handle() : stdio.native();
    }
  }
  Ref<ChildTransport> transport(new ChildTransport(loop, std::move(protocol), ChildProcess(plan, given)));
  transport->has_terminal_ = plan.terminal.has_value();
  transport->add_ref();  // its own, until connection_lost or the loop's end
  try {
    for (int fd = 0; fd != 3; ++fd) {
      if (File& end = ends[static_cast<std::size_t>(fd)].of_parent; end.is_open()) {
        transport->add_pipe(fd, std::move(end), plan.call);
      }
    }
    check(LoopAccess::backend(loop).watch(transport->child_.descriptor(), *transport), plan.call);
  } catch (...) {
    transport->child_.end();
    transport->let_go();
    throw;
  }
  return transport;
}

void ChildTransport::add_pipe(int fd, File end, const char* call) {
  weir::Socket taken = take_pipe(*loop, std::move(end), call);
  pipes_[static_cast<std::size_t>(fd)] = StreamTransport::make_pipe(
      *loop, taken, make_ref<Pipe>(*this, fd), context_, fd == 0 ? Direction::write : Direction::read);
}

template <class Call>
void ChildTransport::tell(const char* message, Call call) noexcept {
  const Ref<SubprocessProtocol> protocol = protocol_;
  if (protocol == nullptr) {
    return;
  }
  try {
    const ContextScope scope(context_);
    call(*protocol);
  } catch (...) {
    report_failure(*this, protocol.get(), "subprocess " + std::to_string(child_.pid()), message,
                   std::current_exception());
  }
}

void ChildTransport::begin() noexcept {
  const std::array<Ref<StreamTransport>, 3> pipes = pipes_;
  for (const Ref<StreamTransport>& pipe : pipes) {
    if (pipe != nullptr) {
      pipe->begin();
    }
  }
  tell("protocol.connection_made() failed",
       [this](SubprocessProtocol& protocol) { protocol.connection_made(Ref<SubprocessTransport>(this)); });
}

void ChildTransport::set_protocol(Ref<BaseProtocol> protocol) {
  if (protocol == nullptr) {
    throw std::invalid_argument("set_protocol: the protocol is null");
  }
  if (protocol->kind() != ProtocolKind::subprocess) {
    throw std::invalid_argument("set_protocol: a SubprocessProtocol was expected");
  }
  if (protocol_ != nullptr) {
    protocol_ = Ref<SubprocessProtocol>(static_cast<SubprocessProtocol*>(protocol.get()));
  }
}

Ref<Transport> ChildTransport::get_pipe_transport(int fd) const noexcept {
  return fd < 0 || fd > 2 ? Ref<Transport>() : Ref<Transport>(pipes_[static_cast<std::size_t>(fd)]);
}

void ChildTransport::send_signal(int signal) {
  const std::int64_t result = returncode_ ? -ESRCH : child_.send_signal(signal);
  if (result == -ENOTSUP) {
    throw NotSupportedError("send_signal " + std::to_string(signal), "process_signals");
  }
  if (result < 0) {
    throw os_error(result, "send_signal " + std::to_string(signal));
  }
}

void ChildTransport::set_terminal_size(TerminalSize size) {
  if (!has_terminal_) {
    throw RuntimeError("set_terminal_size: the child has no terminal");
  }
  std::int64_t result = -EBADF;
  for (const Ref<StreamTransport>& pipe : pipes_) {
    const auto native = pipe != nullptr ? pipe->get_extra_info<extra::pipe>() : std::nullopt;
    if (native && result < 0) {
      result = set_size(*native, size);  // a pipe that is no terminal refuses it
    }
  }
  if (result < 0) {
    throw RuntimeError("set_terminal_size: the terminal is closed");
  }
}

void ChildTransport::close() noexcept {
  if (closing_ || LoopAccess::is_closing(*loop)) {
    return;
  }
  const Ref<ChildTransport> self(this);
  closing_ = true;
  for (const Ref<StreamTransport>& pipe : pipes_) {
    if (pipe != nullptr) {
      pipe->abort();
    }
  }
  if (!returncode_) {
    child_.send_signal(kill_signal);
  }
}

void ChildTransport::pipe_lost(int fd, std::exception_ptr error) noexcept {
  pipes_[static_cast<std::size_t>(fd)].reset();
  tell("protocol.pipe_connection_lost() failed",
       [&](SubprocessProtocol& protocol) { protocol.pipe_connection_lost(fd, std::move(error)); });
  finish_when_done();
}

void ChildTransport::exit_seen(Watch& watch) noexcept {
  const Ref<ChildTransport> self(&static_cast<ChildTransport&>(watch));
  const std::optional<int> returncode = self->child_.reap();
  if (!returncode) {
    return;
  }
  self->returncode_ = returncode;
  LoopAccess::backend(*self->loop).unwatch(*self);
  self->child_.forget();
  self->tell("protocol.process_exited() failed",
             [](SubprocessProtocol& protocol) { protocol.process_exited(); });
  self->finish_when_done();
}

void ChildTransport::finish_when_done() noexcept {
  const bool pipes_open = pipes_[0] != nullptr || pipes_[1] != nullptr || pipes_[2] != nullptr;
  if (!returncode_ || pipes_open || finishing_) {
    return;
  }
  finishing_ = true;
  closing_ = true;
  LoopAccess::ready(*loop).push(&run_lost, this);
}

void ChildTransport::run_lost(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
  if (action == ReadyAction::run) {
    const Ref<ChildTransport> self(static_cast<ChildTransport*>(object));
    self->tell("protocol.connection_lost() failed",
               [](SubprocessProtocol& protocol) { protocol.connection_lost(nullptr); });
    self->let_go();
  }
}

void ChildTransport::loop_closed(LoopResource& resource) noexcept {
  const Ref<ChildTransport> self(&static_cast<ChildTransport&>(resource));
  if (LoopAccess::is_inherited(*self->loop)) {
    self->closing_ = true;
    return;
  }
  if (!self->returncode_) {
    log(LogLevel::warning,
        "unclosed subprocess " + std::to_string(self->get_pid()) + ": its loop was closed, and it is killed");
    self->child_.end();
    self->returncode_ = killed_returncode;
  }
  self->closing_ = true;
  self->let_go();
}

// Of everybody, and of itself. Its caller holds it.
void ChildTransport::let_go() noexcept {
  leave();
  for (Ref<StreamTransport>& pipe : pipes_) {
    if (const Ref<StreamTransport> open = std::move(pipe); open != nullptr) {
      open->abort();
    }
  }
  protocol_.reset();
  context_ = Context();
  const auto own = Ref<ChildTransport>::adopt(this);
}

Coro<Ref<SubprocessTransport>> start_child(EventLoop& loop, Ref<SubprocessProtocol> protocol,
                                           std::shared_ptr<const SpawnPlan> plan) {
  const Ref<ChildTransport> transport = ChildTransport::make(loop, std::move(protocol), *plan);
  BeginAwaiter<ChildTransport> beginning(*transport, plan->call);
  co_await beginning;
  co_return transport;
}

}  // namespace detail

}  // namespace weir::inline WEIR_ABI
