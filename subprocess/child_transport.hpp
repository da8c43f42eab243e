// ChildTransport: the one SubprocessTransport. It owns the child and the pipes to it, and itself until
// connection_lost has run.
#pragma once

#include "net/stream_transport.hpp"
#include "runtime/loop_access.hpp"
#include "runtime/loop_resource.hpp"
#include "subprocess/child_process.hpp"

#include <weir/context.hpp>
#include <weir/subprocess/protocol.hpp>
#include <weir/subprocess/transport.hpp>

#include <array>
#include <exception>
#include <optional>

namespace weir::inline WEIR_ABI::detail {

class ChildTransport final : public SubprocessTransport, private Watch, private LoopResource {
 public:
  // Starts the child with its pipes; nobody has told the protocol yet. Throws, and then there is neither.
  static Ref<ChildTransport> make(EventLoop& loop, Ref<SubprocessProtocol> protocol, const SpawnPlan& plan);
  // connection_made, then all that the pipes bring. Once.
  void begin() noexcept;
  // Nobody will get it: close() kills the child already.
  void abort() noexcept { close(); }

  void close() noexcept override;
  bool is_closing() const noexcept override { return closing_; }
  void set_protocol(Ref<BaseProtocol> protocol) override;
  Ref<BaseProtocol> get_protocol() const noexcept override { return protocol_; }
  EventLoop& get_loop() const noexcept override { return *loop; }
  int get_pid() const noexcept override { return child_.pid(); }
  std::optional<int> get_returncode() const noexcept override { return returncode_; }
  Ref<Transport> get_pipe_transport(int fd) const noexcept override;
  void send_signal(int signal) override;
  void set_terminal_size(TerminalSize size) override;

 private:
  class Pipe;

  ChildTransport(EventLoop& loop, Ref<SubprocessProtocol> protocol, ChildProcess child);
  ~ChildTransport() override = default;

  void add_pipe(int fd, File end, const char* call);
  // Calls the protocol; what it throws is reported.
  template <class Call>
  void tell(const char* message, Call call) noexcept;
  // What the pipes say. data_received throws what the protocol throws.
  void received(int fd, std::span<const std::byte> data) { protocol_->pipe_data_received(fd, data); }
  void flow(void (BaseProtocol::*call)()) { (*protocol_.*call)(); }
  void pipe_lost(int fd, std::exception_ptr error) noexcept;

  static void exit_seen(Watch& watch) noexcept;
  void finish_when_done() noexcept;
  static void run_lost(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action);
  static void loop_closed(LoopResource& resource) noexcept;
  void let_go() noexcept;

  bool closing_ = false;
  bool finishing_ = false;
  bool has_terminal_ = false;
  ChildProcess child_;
  std::optional<int> returncode_;
  std::array<Ref<StreamTransport>, 3> pipes_;
  Ref<SubprocessProtocol> protocol_;
  Context context_ = copy_context();
};

}  // namespace weir::inline WEIR_ABI::detail
