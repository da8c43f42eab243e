// EventLoop: the user's one door. Its methods stand in the order of asyncio's documentation; a group is
// defined in the room that owns it (networking in net/), so that runtime/ links without the others.
#pragma once

#include <weir/async_generator.hpp>
#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/callback.hpp>
#include <weir/detail/duration.hpp>
#include <weir/detail/executor_job.hpp>
#include <weir/detail/raw_address.hpp>
#include <weir/detail/ready_queue.hpp>
#include <weir/exception_context.hpp>
#include <weir/future.hpp>
#include <weir/fwd.hpp>
#include <weir/handle.hpp>
#include <weir/remote.hpp>
#include <weir/task.hpp>

#include <atomic>
#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

namespace detail {
struct BackendHolder;
struct LoopAccess;
struct NetState;
struct LoopDebug;
struct LoopResource;
class SignalState;
class Inbox;
struct GuestState;
class TimerHeap;
class RecvAwaiter;
class RecvIntoAwaiter;
class RecvFromAwaiter;
class RecvFromIntoAwaiter;
class SendAllAwaiter;
class SendToAwaiter;
class ConnectAwaiter;
class AcceptAwaiter;
template <class F>
using ProtocolRef = std::remove_cvref_t<std::invoke_result_t<std::decay_t<F>&>>;
}  // namespace detail

// Makes the task of a create_task call: may name it, start it eagerly or wrap it, by AnyCoro's functions, and
// returns what they return.
using TaskFactory = std::function<Ref<TaskBase>(EventLoop& loop, AnyCoro coro, const TaskOptions& options)>;

// An event loop (asyncio.AbstractEventLoop) over the backend that was chosen when weir was built. Every
// function is for the loop's thread, except where it says "any thread". Made by new_event_loop().
//
// After fork() the parent goes on with its loops as if nothing had happened. In the child no loop is running,
// and those that it inherited are inert: is_closed() is true; close(), the destructor and what belongs to
// such a loop do nothing that the parent could notice; other calls throw RuntimeError, also the run call that
// fork() was called in, when the callback has returned. Nothing of them is destroyed: coroutines, callbacks,
// transports and protocols stay in memory as they are. New loops work.
class WEIR_API EventLoop {
 public:
  // Throws std::system_error when the system refuses what the backend needs.
  EventLoop();
  // Closes it. Must not be running.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // --- Running and stopping

  // Runs until `coro` (as a task) or `future` is done; gives its value (an rvalue's is moved out) or rethrows
  // its exception (run_until_complete). Throws RuntimeError when the loop is running or closed, another runs
  // in this thread, or stop() came first; std::invalid_argument for a future of another loop.
  template <class T>
  T run_until_complete(Coro<T> coro, std::source_location where = std::source_location::current()) {
    check_can_run("run_until_complete");
    return run_until_complete(Future<T>(create_task(std::move(coro), {}, where)));
  }
  template <class T>
  T run_until_complete(const Future<T>& future) {
    return detail::get_result<T, false>(*run_until_done(future.base()));
  }
  template <class T>
  T run_until_complete(Future<T>&& future) {
    return detail::get_result<T, true>(*run_until_done(future.base()));
  }
  // Runs until stop() (run_forever). Throws RuntimeError as run_until_complete does. KeyboardInterrupt thrown
  // by a scheduled callback passes through; by a coroutine, a protocol or a watcher it is an exception like
  // others. std::system_error when the system cannot wait at all, as when somebody closed the backend's
  // descriptor.
  void run_forever();
  // Makes the run call return after the current batch of callbacks; before a run call, makes that run one
  // turn (stop).
  void stop() noexcept { stopping_ = true; }
  // Is it inside a run call (is_running)?
  bool is_running() const noexcept { return running_.load(std::memory_order_relaxed); }
  // Was close() called (is_closed)?
  bool is_closed() const noexcept { return closed_; }
  // Releases everything: cancels every operation, drops queued callbacks, destroys the suspended coroutines
  // innermost first without resuming them, closes and reports open transports (close). Idempotent. Throws
  // RuntimeError on a running loop.
  void close();
  // Closes every asynchronous generator that was iterated and has not finished (shutdown_asyncgens).
  Coro<void> shutdown_asyncgens();
  // Waits for the jobs of the default executor while the loop goes on, then refuses new ones
  // (shutdown_default_executor). With a timeout it warns and returns when that is over, leaving the threads
  // to finish by themselves.
  Coro<void> shutdown_default_executor(Duration timeout = Duration::max());

  // --- Debugging

  // Switches debug mode (set_debug): slow callbacks, calls from the wrong thread, coroutines never awaited
  // and more are reported, with the place of creation. It is on from the start when the environment has
  // WEIR_DEBUG=1.
  void set_debug(bool enabled) noexcept;
  bool get_debug() const noexcept { return debug_; }
  // In debug mode, a callback or task step that takes longer is logged (slow_callback_duration). 100 ms by
  // default.
  void set_slow_callback_duration(Duration duration) noexcept;
  Duration slow_callback_duration() const noexcept;

  // --- Scheduling callbacks

  // Runs the callback in the next turn, after all that is queued already (call_soon). Throws
  // std::invalid_argument for an empty callback, RuntimeError when the loop is closed or, in debug mode,
  // called from a foreign thread.
  template <detail::Callable F>
  Handle call_soon(F&& callback, CallOptions options = {},
                   std::source_location where = std::source_location::current()) {
    detail::check_not_empty(callback, "call_soon");
    const Context* current = detail::current_context_slot();
    if (call_soon_needs_care_ || options.context != nullptr ||
        (current != nullptr && !detail::ContextAccess::empty(*current))) [[unlikely]] {
      return call_soon_with_care(detail::Callback(std::forward<F>(callback)), options, where);
    }
    return Handle(anchor_, number_, detail::push_callable(ready_, std::forward<F>(callback)));
  }
  // The same from any thread: wakes the loop if it sleeps (call_soon_threadsafe). While the loop runs, a call
  // from its own thread goes straight to the ready queue, in order with call_soon. Throws RuntimeError when
  // the loop is closed, also when it races with close(). The loop object must exist: use remote() where it
  // may not.
  template <detail::Callable F>
  void call_soon_threadsafe(F&& callback, CallOptions options = {}) {
    detail::check_not_empty(callback, "call_soon_threadsafe");
    post(detail::Callback(std::forward<F>(callback)), options);
  }
  // A handle for other threads that may outlive the loop. Any thread, while the loop exists.
  LoopRemote remote() const noexcept;
  // Runs the callback no earlier than `delay` from now (call_later). A floating-point delay may be infinite;
  // NaN is refused with std::invalid_argument. Errors as call_soon.
  template <class Rep, class Period, detail::Callable F>
  TimerHandle call_later(std::chrono::duration<Rep, Period> delay, F&& callback, CallOptions options = {},
                         std::source_location where = std::source_location::current()) {
    detail::check_not_empty(callback, "call_later");
    const Duration exact = detail::to_duration(delay, "call_later");
    return schedule_at(detail::add_clamped(time(), exact), detail::Callback(std::forward<F>(callback)),
                       options, where);
  }
  // Runs the callback no earlier than `when` on the clock of time() (call_at). Timers with equal deadlines
  // run in the order scheduled.
  template <detail::Callable F>
  TimerHandle call_at(TimePoint when, F&& callback, CallOptions options = {},
                      std::source_location where = std::source_location::current()) {
    detail::check_not_empty(callback, "call_at");
    return schedule_at(when, detail::Callback(std::forward<F>(callback)), options, where);
  }
  // Now, on the loop's monotonic clock (time): steady_clock, or the simulator's virtual one. Stands still
  // once the loop is closed. Any thread but under sim, and not during close().
  TimePoint time() const noexcept;

  // --- Executors

  // Calls `function` on a thread of `executor` (null: the default one, made on first use) and gives its value
  // or exception (run_in_executor). The closure is destroyed on the loop's thread. Throws RuntimeError when
  // the loop is closed or the executor is shut down. Under sim the job runs on the loop's thread in a later
  // turn.
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  auto run_in_executor(Executor* executor, F&& function) -> Future<std::invoke_result_t<std::decay_t<F>&>> {
    check_open("run_in_executor");
    detail::check_not_empty(function, "run_in_executor");
    Future<std::invoke_result_t<std::decay_t<F>&>> future(*this);
    submit_job(executor,
               std::make_unique<detail::TypedExecutorJob<std::decay_t<F>>>(std::forward<F>(function)),
               future.base());
    return future;
  }
  // The same in a process: see <weir/subprocess/process_pool.hpp>. The pool must be this loop's.
  Future<Bytes> run_in_executor(ProcessPoolExecutor& pool, const ProcessFunction& function,
                                std::span<const std::byte> input);
  // Replaces the default executor (set_default_executor). Throws std::invalid_argument for null.
  void set_default_executor(std::shared_ptr<Executor> executor);

  // --- Tasks and futures

  // A pending future of this loop (create_future).
  template <class T>
  Future<T> create_future(std::source_location where = std::source_location::current()) {
    return Future<T>(*this, where);
  }
  // Starts the coroutine in a later turn, through the task factory if one is set (create_task). Throws
  // RuntimeError when the loop is closed, what the factory throws, and RuntimeError when the factory returns
  // another task than the one it was given.
  template <class T>
  Task<T> create_task(Coro<T> coro, TaskOptions options = {},
                      std::source_location where = std::source_location::current()) {
    if (call_soon_needs_care_) [[unlikely]] {
      check_open("create_task");
    }
    Ref<FutureBase> state(
        static_cast<FutureBase*>(detail::new_block<detail::TaskState<T>>(*this, std::move(coro), where)));
    if (task_factory_) [[unlikely]] {
      start_by_factory(static_cast<TaskBase&>(*state), options);
    } else {
      static_cast<TaskBase&>(*state).start(options);
    }
    return Task<T>(std::move(state));
  }
  // Sets what makes tasks (set_task_factory); an empty one restores the default. get_task_factory gives it,
  // empty for the default.
  void set_task_factory(TaskFactory factory) { task_factory_ = std::move(factory); }
  const TaskFactory& get_task_factory() const noexcept { return task_factory_; }

  // --- Networking (defined in net/, documented with their options in <weir/net/…>)

  // <weir/net/resolver.hpp>: getaddrinfo, getnameinfo; how they resolve from now on.
  Coro<std::vector<AddrInfo>> getaddrinfo(std::optional<std::string_view> host, ServiceName service,
                                          AddrInfoOptions options);
  Coro<std::pair<std::string, std::string>> getnameinfo(const Address& address, NameInfoFlags flags);
  void set_resolver_options(const ResolverOptions& options);
  // <weir/net/connect.hpp>: create_connection, connect_accepted_socket.
  template <class F>
  Coro<std::pair<Ref<Transport>, detail::ProtocolRef<F>>> create_connection(F&& factory,
                                                                            ConnectionOptions options);
  template <class F>
  Coro<std::pair<Ref<Transport>, detail::ProtocolRef<F>>> connect_accepted_socket(
      F&& factory, Socket socket, AcceptedSocketOptions options);
  // <weir/net/server.hpp>: create_server.
  template <class F>
  Coro<Ref<Server>> create_server(F&& factory, ServerOptions options);
  // <weir/net/unix.hpp>: create_unix_connection, create_unix_server.
  template <class F>
  Coro<std::pair<Ref<Transport>, detail::ProtocolRef<F>>> create_unix_connection(
      F&& factory, UnixConnectionOptions options);
  template <class F>
  Coro<Ref<Server>> create_unix_server(F&& factory, UnixServerOptions options);
  // <weir/net/start_tls.hpp>: start_tls, in a build with TLS.
  Coro<Ref<Transport>> start_tls(Ref<Transport> transport, Ref<BaseProtocol> protocol,
                                 const SSLContext& context, StartTLSOptions options);
  // <weir/net/datagram.hpp>: create_datagram_endpoint.
  template <class F>
  Coro<std::pair<Ref<DatagramTransport>, detail::ProtocolRef<F>>> create_datagram_endpoint(
      F&& factory, DatagramEndpointOptions options);
  // <weir/net/pipe.hpp>: connect_read_pipe, connect_write_pipe.
  template <class F>
  Coro<std::pair<Ref<Transport>, detail::ProtocolRef<F>>> connect_read_pipe(F&& factory, File pipe);
  template <class F>
  Coro<std::pair<Ref<Transport>, detail::ProtocolRef<F>>> connect_write_pipe(F&& factory, File pipe);
  // <weir/net/sendfile.hpp>: sendfile, sock_sendfile.
  Coro<std::uint64_t> sendfile(Ref<Transport> transport, File& file, SendFileOptions options);
  Coro<std::uint64_t> sock_sendfile(Socket& socket, File& file, SendFileOptions options);

  // --- Sockets (defined in net/, documented in <weir/net/sock_ops.hpp>)

  detail::RecvAwaiter sock_recv(Socket& socket, std::size_t max_bytes);
  detail::RecvIntoAwaiter sock_recv_into(Socket& socket, std::span<std::byte> buffer);
  detail::RecvFromAwaiter sock_recvfrom(Socket& socket, std::size_t max_bytes);
  detail::RecvFromIntoAwaiter sock_recvfrom_into(Socket& socket, std::span<std::byte> buffer);
  detail::SendAllAwaiter sock_sendall(Socket& socket, std::span<const std::byte> data);
  detail::SendAllAwaiter sock_sendall(Socket& socket, std::string_view text);
  detail::SendToAwaiter sock_sendto(Socket& socket, std::span<const std::byte> data, const Address& address);
  detail::SendToAwaiter sock_sendto(Socket& socket, std::string_view text, const Address& address);
  detail::ConnectAwaiter sock_connect(Socket& socket, const Address& address);
  Coro<void> sock_connect(Socket& socket, std::string_view host, ServiceName service);
  detail::AcceptAwaiter sock_accept(Socket& socket);

  // --- Watching file descriptors (defined in net/)

  // Calls `callback` in every turn in which the descriptor is readable, has hung up or has an error, until
  // remove_reader (add_reader). Adding again replaces the callback. Throws std::invalid_argument for a
  // negative descriptor, std::system_error as the system refuses (EBADF, EPERM for a regular file under
  // epoll), RuntimeError for a transport's descriptor, NotSupportedError when the backend cannot watch this
  // kind.
  template <detail::Callable F>
  void add_reader(native_socket descriptor, F&& callback, CallOptions options = {}) {
    detail::check_not_empty(callback, "add_reader");
    watch_descriptor(descriptor, false, detail::Callback(std::forward<F>(callback)), options);
  }
  template <detail::Callable F>
  void add_reader(const Socket& socket, F&& callback, CallOptions options = {}) {
    add_reader(descriptor_of(socket), std::forward<F>(callback), options);
  }
  // Stops watching; false when there was nothing to stop (remove_reader). The callback is not called again.
  // Throws RuntimeError for a transport's descriptor.
  bool remove_reader(native_socket descriptor);
  bool remove_reader(const Socket& socket);
  // The same for writing (add_writer, remove_writer).
  template <detail::Callable F>
  void add_writer(native_socket descriptor, F&& callback, CallOptions options = {}) {
    detail::check_not_empty(callback, "add_writer");
    watch_descriptor(descriptor, true, detail::Callback(std::forward<F>(callback)), options);
  }
  template <detail::Callable F>
  void add_writer(const Socket& socket, F&& callback, CallOptions options = {}) {
    add_writer(descriptor_of(socket), std::forward<F>(callback), options);
  }
  bool remove_writer(native_socket descriptor);
  bool remove_writer(const Socket& socket);

  // --- Subprocesses (defined in subprocess/, documented with their options in <weir/subprocess/exec.hpp>)

  template <class F>
  Coro<std::pair<Ref<SubprocessTransport>, detail::ProtocolRef<F>>> subprocess_exec(
      F&& factory, const std::vector<std::string>& args, SubprocessOptions options);
  template <class F>
  Coro<std::pair<Ref<SubprocessTransport>, detail::ProtocolRef<F>>> subprocess_shell(
      F&& factory, std::string_view command, SubprocessOptions options);

  // --- Signals

  // Calls `callback` in the loop, as call_soon would, when the process has got the signal since it was called
  // last (add_signal_handler). Adding again replaces it. Several loops may watch a signal: each is told. On
  // Windows: SIGINT (Ctrl-C), SIGBREAK (Ctrl-Break) and SIGTERM (the console is closed: the program has
  // seconds to end). Throws std::invalid_argument for an empty callback and a number outside 1 … 64,
  // RuntimeError when the signal cannot be caught (SIGKILL), the loop is closed, or 64 loops watch already.
  template <detail::Callable F>
  void add_signal_handler(int signal, F&& callback, CallOptions options = {},
                          std::source_location where = std::source_location::current()) {
    detail::check_not_empty(callback, "add_signal_handler");
    watch_signal(signal, detail::Callback(std::forward<F>(callback)), options, where);
  }
  // Stops watching; false when there was nothing to stop (remove_signal_handler). The callback is not called
  // again, and the process handles the signal as it did before, unless somebody else has taken it since.
  // Throws std::invalid_argument for a number outside 1 … 64.
  bool remove_signal_handler(int signal);

  // --- Error handling

  // Hands an error to the exception handler (call_exception_handler). Never throws; a handler that throws is
  // logged together with the original.
  void call_exception_handler(const ExceptionContext& context) noexcept;
  // Sets the handler (set_exception_handler); an empty one restores the default, which logs.
  // get_exception_handler gives it, empty for the default.
  void set_exception_handler(ExceptionHandler handler) { exception_handler_ = std::move(handler); }
  const ExceptionHandler& get_exception_handler() const noexcept { return exception_handler_; }
  // Logs the error with its context (default_exception_handler).
  void default_exception_handler(const ExceptionContext& context);

  // --- Beyond asyncio

  // Before the loop goes to sleep it polls without sleeping for this long: a lower latency for a busy core.
  // Zero (the default) turns it off. Throws std::invalid_argument for a negative duration.
  void set_busy_poll(Duration duration);
  Duration busy_poll() const noexcept;
  // The most bytes that data_received() gets at once; 64 KiB by default (asyncio's transports: max_size).
  // With a higher limit the loop's buffer grows from 64 KiB as reads fill it: fewer calls for whoever sends
  // on what it receives, slower for whoever only looks at it, because the buffer leaves the processor's
  // nearest cache. Measure before you change it. Throws std::invalid_argument outside 1 KiB … 64 MiB.
  void set_max_read_size(std::size_t bytes);
  std::size_t max_read_size() const noexcept { return max_read_size_; }

 private:
  friend struct detail::LoopAccess;
  friend class Handle;
  friend class TimerHandle;
  friend class FutureBase;
  friend class TaskBase;
  friend class AnyCoro;
  friend class Runner;

  Handle call_soon_with_care(detail::Callback callback, CallOptions options, std::source_location where);
  TimerHandle schedule_at(TimePoint when, detail::Callback&& callback, CallOptions options,
                          std::source_location where);
  void post(detail::Callback callback, CallOptions options);
  void start_by_factory(TaskBase& task, const TaskOptions& options);
  Ref<FutureBase> run_until_done(Ref<FutureBase> future);
  void check_open(const char* call) const;
  void check_can_run(const char* call) const;
  void check_thread(const char* call) const;
  void check_still_ours(const char* call) const;
  void update_care() noexcept { call_soon_needs_care_ = debug_ || closed_ || closing_; }
  void submit_job(Executor* executor, std::unique_ptr<detail::ExecutorJob> job,
                  const Ref<FutureBase>& future);
  void watch_descriptor(native_socket descriptor, bool writing, detail::Callback callback,
                        CallOptions options);
  void watch_signal(int number, detail::Callback callback, CallOptions options, std::source_location where);
  static native_socket descriptor_of(const Socket& socket) noexcept;

  // The turn. See runtime/README.md.
  struct Running;
  TimePoint prepare();
  void collect(TimePoint deadline);
  inline void run();
  [[gnu::always_inline]] inline void run_batch(std::size_t count);
  bool poll_is_needless() const noexcept;
  // The same in pieces, for a host. See <weir/guest.hpp>.
  TimePoint let_host_wait();
  bool run_guest_turn();
  void run_debugged();
  void report_callback_exception() noexcept;
  // In a child of fork().
  void leave_to_parent() noexcept;
  void let_go_of_everybody() noexcept;
  void keep_for_ever() noexcept;
  void drop_callbacks() noexcept;
  void destroy_tasks() noexcept;
  void forget_generators() noexcept;

  detail::ReadyQueue ready_;
  bool call_soon_needs_care_ = false;
  bool stopping_ = false;
  std::atomic<bool> running_{false};  // other threads look at it in debug mode
  bool closed_ = false;
  bool closing_ = false;
  bool inherited_ = false;  // from the parent of this process; closed_ as well
  bool debug_ = false;
  int await_budget_ = 0;
  detail::LoopAnchor* anchor_ = nullptr;
  std::uint64_t number_ = 0;
  std::uint64_t run_number_ = 0;  // of the present run call, or the last one
  TaskBase* current_task_ = nullptr;
  std::unique_ptr<detail::BackendHolder> backend_;
  std::unique_ptr<detail::TimerHeap> timers_;
  std::shared_ptr<detail::Inbox> inbox_;
  Context callback_context_;  // what a callback without context of its own may set; emptied after each
  TaskBase* first_task_ = nullptr;
  TaskBase* last_task_ = nullptr;
  detail::AsyncGeneratorBase* first_generator_ = nullptr;
  detail::LoopResource* first_resource_ = nullptr;
  detail::GuestState* guest_ = nullptr;
  std::shared_ptr<detail::NetState> net_;
  std::unique_ptr<detail::LoopDebug> debugging_;
  std::atomic<EventLoop**> home_;  // names the thread that made it or ran it last
  std::unique_ptr<detail::SignalState> signals_;
  std::shared_ptr<Executor> default_executor_;
  bool default_executor_shut_down_ = false;
  bool generators_shut_down_ = false;
  TaskFactory task_factory_;
  ExceptionHandler exception_handler_;
  std::uint64_t next_task_number_ = 1;
  Duration busy_poll_{};
  std::size_t max_read_size_ = std::size_t{64} * 1024;
  TimePoint closed_at_{};
  std::size_t jobs_on_loop_ = 0;  // executor jobs that a backend without threads runs here
};

}  // namespace weir::inline WEIR_ABI
