// Process: waiting for a child, and talking to it until its end.
#include <weir/subprocess/process.hpp>

#include "net/scoped_timer.hpp"
#include "subprocess/process_protocol.hpp"

#include <weir/event_loop.hpp>
#include <weir/exceptions.hpp>
#include <weir/net/streams.hpp>
#include <weir/task.hpp>
#include <weir/tasks.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace weir::inline WEIR_ABI {

namespace {

// A task that does not outlive the call that it works for.
template <class T>
class OwnTask {
 public:
  OwnTask(EventLoop& loop, Coro<T> coro) : task_(loop.create_task(std::move(coro))) {}
  OwnTask(const OwnTask&) = delete;
  OwnTask& operator=(const OwnTask&) = delete;
  ~OwnTask() { task_.cancel(); }
  Task<T>& operator*() noexcept { return task_; }

 private:
  Task<T> task_;
};

constexpr std::size_t piece_size = std::size_t{64} * 1024;

Coro<void> feed(Ref<StreamWriter> writer, std::string_view input) {
  if (writer == nullptr) {
    co_return;
  }
  try {
    for (; !input.empty(); input.remove_prefix(std::min(piece_size, input.size()))) {
      writer->write(input.substr(0, piece_size));
      co_await writer->drain();
    }
  } catch (const std::system_error&) {
    // The child reads no more.
  }
  writer->close();
}

Coro<Bytes> collect(Ref<detail::ProcessProtocol> protocol, int fd, std::size_t most) {
  const Ref<StreamReader> reader = protocol->reader(fd);
  if (reader == nullptr) {
    co_return Bytes();
  }
  if (most >= std::numeric_limits<std::ptrdiff_t>::max()) {
    co_return co_await reader->read();
  }
  try {
    co_await reader->readexactly(static_cast<std::ptrdiff_t>(most) + 1);
  } catch (const IncompleteReadError& ended) {
    co_return ended.partial();
  }
  const std::string what = "communicate: more than " + std::to_string(most) + " bytes of output";
  protocol->cut(std::make_exception_ptr(LimitOverrunError(what, most)));
  co_return Bytes();
}

Coro<int> wait_for_end(Ref<SubprocessTransport> transport, Ref<detail::ProcessProtocol> protocol) {
  if (!transport->get_returncode()) {
    co_await protocol->ended();
  }
  co_return *transport->get_returncode();
}

Coro<std::pair<Bytes, Bytes>> converse(Ref<SubprocessTransport> transport,
                                       Ref<detail::ProcessProtocol> protocol, std::string_view input,
                                       CommunicateOptions options) {
  EventLoop& loop = transport->get_loop();
  const TimePoint deadline =
      options.timeout ? detail::add_clamped(loop.time(), *options.timeout) : TimePoint::max();
  const detail::ScopedTimer timer(loop, deadline, [protocol] {
    protocol->cut(std::make_exception_ptr(TimeoutError("communicate: timed out")));
  });
  OwnTask<void> feeding(loop, feed(protocol->writer(), input));
  OwnTask<Bytes> output(loop, collect(protocol, 1, options.max_output));
  OwnTask<Bytes> error_output(loop, collect(protocol, 2, options.max_output));
  co_await *feeding;
  Bytes out = co_await *output;
  Bytes err = co_await *error_output;
  co_await wait_for_end(transport, protocol);
  if (protocol->cut_reason()) {
    std::rethrow_exception(protocol->cut_reason());
  }
  co_return std::pair(std::move(out), std::move(err));
}

Coro<Ref<Process>> start(EventLoop& loop, std::ptrdiff_t limit,
                         std::shared_ptr<const detail::SpawnPlan> plan) {
  const auto protocol = make_ref<detail::ProcessProtocol>(loop, limit);
  Ref<SubprocessTransport> transport = co_await detail::start_child(loop, protocol, std::move(plan));
  co_return make_ref<Process>(std::move(transport), protocol);
}

}  // namespace

Process::Process(Ref<SubprocessTransport> transport, Ref<detail::ProcessProtocol> protocol) noexcept
    : transport_(std::move(transport)), protocol_(std::move(protocol)) {}
Process::~Process() = default;

const Ref<StreamWriter>& Process::std_in() const noexcept { return protocol_->writer(); }
const Ref<StreamReader>& Process::std_out() const noexcept { return protocol_->reader(1); }
const Ref<StreamReader>& Process::std_err() const noexcept { return protocol_->reader(2); }

Coro<int> Process::wait() { return wait_for_end(transport_, protocol_); }

Coro<std::pair<Bytes, Bytes>> Process::communicate() { return communicate({}, {}); }
Coro<std::pair<Bytes, Bytes>> Process::communicate(std::string_view input) { return communicate(input, {}); }
Coro<std::pair<Bytes, Bytes>> Process::communicate(std::string_view input, CommunicateOptions options) {
  if (!input.empty() && std_in() == nullptr) {
    throw std::invalid_argument("communicate: there is an input, and the child's std_in is no pipe");
  }
  return converse(transport_, protocol_, input, options);
}

Coro<Ref<Process>> create_subprocess_exec(const std::vector<std::string>& args) {
  return create_subprocess_exec(args, {});
}

Coro<Ref<Process>> create_subprocess_exec(const std::vector<std::string>& args,
                                          const SubprocessOptions& options, std::ptrdiff_t limit) {
  constexpr detail::SpawnCall call{"create_subprocess_exec", Stdio::inherit()};
  EventLoop& loop = detail::running_loop_for(call.name);
  detail::check_stream_limit(limit);
  return start(loop, limit, detail::plan_exec(loop, call, args, options));
}

Coro<Ref<Process>> create_subprocess_shell(std::string_view command) {
  return create_subprocess_shell(command, {});
}

Coro<Ref<Process>> create_subprocess_shell(std::string_view command, const SubprocessOptions& options,
                                           std::ptrdiff_t limit) {
  constexpr detail::SpawnCall call{"create_subprocess_shell", Stdio::inherit()};
  EventLoop& loop = detail::running_loop_for(call.name);
  detail::check_stream_limit(limit);
  return start(loop, limit, detail::plan_shell(loop, call, command, options));
}

}  // namespace weir::inline WEIR_ABI
