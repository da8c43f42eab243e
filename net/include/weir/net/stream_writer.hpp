// StreamWriter: the writing half of a stream (asyncio.StreamWriter), and StreamReaderProtocol, which connects
// both halves to a transport.
#pragma once

#include <weir/bytes.hpp>
#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/callback.hpp>
#include <weir/event_loop.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/stream_reader.hpp>
#include <weir/net/transport.hpp>
#include <weir/ref.hpp>
#include <weir/task.hpp>
#include <weir/task_base.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI {

class StreamReaderProtocol;
class StreamWriter;

namespace detail {

class StreamWaiter;

// Those who wait for one event of a connection, in the order in which they came. The links are in the
// waiters.
struct StreamWaiterList {
  StreamWaiter* first = nullptr;
  StreamWaiter* last = nullptr;

  void push(StreamWaiter& waiter) noexcept;
  void erase(StreamWaiter& waiter) noexcept;
  // Everybody goes on, with the error if there is one.
  void wake_all(const std::exception_ptr& error) noexcept;
};

// What the awaiters of drain() and wait_closed() have in common.
class WEIR_API StreamWaiter : public AwaiterBase, protected CancelHook {
 public:
  ~StreamWaiter();

 protected:
  friend struct StreamWaiterList;
  StreamWaiter(Ref<StreamReaderProtocol> protocol, const char* call) noexcept;
  StreamWaiter(StreamWaiter&& other) noexcept;

  Ref<StreamReaderProtocol> protocol_;
  TaskBase* task_ = nullptr;          // null until it suspends
  StreamWaiterList* list_ = nullptr;  // while it waits
  StreamWaiter* previous_ = nullptr;
  StreamWaiter* next_ = nullptr;
  std::exception_ptr error_;

 private:
  static bool cancel_wait(CancelHook& hook, std::string_view message) noexcept;
};

// What drain() returns.
class WEIR_API DrainAwaiter : public StreamWaiter {
 public:
  DrainAwaiter(Ref<StreamReaderProtocol> protocol, Ref<Transport> transport,
               Ref<StreamReader> reader) noexcept;
  DrainAwaiter(DrainAwaiter&& other) noexcept;

  bool await_ready();
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    task_ = coroutine.promise().task;
    begin_waiting();
    task_->suspend(coroutine, coroutine.promise(), *this);
  }
  void await_resume();

 private:
  void begin_waiting();
  static void look_again(void* self, std::uintptr_t, std::uintptr_t, ReadyAction action);

  Ref<Transport> transport_;
  Ref<StreamReader> reader_;
  bool gives_way_ = false;  // one turn, so that connection_lost can come
  bool is_lost_ = false;
};

// What wait_closed() returns.
class WEIR_API WaitClosedAwaiter : public StreamWaiter {
 public:
  explicit WaitClosedAwaiter(Ref<StreamReaderProtocol> protocol) noexcept
      : StreamWaiter(std::move(protocol), "wait_closed") {}

  bool await_ready() const noexcept;
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    task_ = coroutine.promise().task;
    begin_waiting();
    task_->suspend(coroutine, coroutine.promise(), *this);
  }
  void await_resume();

 private:
  void begin_waiting() noexcept;
};

// What start_server does with a connection: calls the user's function. Shared by the connections.
class WEIR_API ClientHandler final : public RefCounted {
 public:
  using Connected = UniqueFunction<void(ClientHandler& self, const Ref<Transport>& transport,
                                        Ref<StreamReader> reader, Ref<StreamWriter> writer)>;

  explicit ClientHandler(Connected connected) noexcept : connected_(std::move(connected)) {}
  void connected(const Ref<Transport>& transport, Ref<StreamReader> reader, Ref<StreamWriter> writer) {
    connected_(*this, transport, std::move(reader), std::move(writer));
  }
  // When the task ends badly: reports why, unless it was cancelled, and closes the connection. Keeps the
  // handler, in whose captures the coroutine may have its state, until then.
  void watch(FutureBase& task, Ref<Transport> transport);

 protected:
  ~ClientHandler() override;

 private:
  Connected connected_;
};

}  // namespace detail

// The writing half of a stream, over its transport. For the loop's thread. Dropping the last Ref of one that
// is not closing closes the connection, and that is logged as a warning.
class WEIR_API StreamWriter final : public RefCounted {
 public:
  // Made by open_connection and start_server; by hand from a transport, its protocol, and a reader, whose
  // exception drain() throws, or null.
  StreamWriter(Ref<Transport> transport, Ref<StreamReaderProtocol> protocol,
               Ref<StreamReader> reader) noexcept;

  // The transport below, to set its write limits or to abort it (transport).
  const Ref<Transport>& transport() const noexcept { return transport_; }
  // Sends the bytes, or takes them over for later; await drain() after it (write). Nothing is thrown for a
  // connection that is gone: see Transport::write.
  void write(std::span<const std::byte> data) { transport_->write(data); }
  void write(std::string_view text) { transport_->write(text); }
  void write(Bytes&& data) { transport_->write(std::move(data)); }
  // Sends several pieces in order (writelines).
  void writelines(std::span<const std::span<const std::byte>> pieces) { transport_->writelines(pieces); }
  // Waits while more is unsent than the transport's limits allow; returns without suspending otherwise
  // (drain). Several tasks may wait. Throws the reader's exception if it has one, the error that the
  // connection was lost with while it waited, and std::system_error (connection_reset) on a lost one.
  detail::DrainAwaiter drain() noexcept { return {protocol_, transport_, reader_}; }
  // Can the writing side be ended alone (can_write_eof)?
  bool can_write_eof() const noexcept { return transport_->can_write_eof(); }
  // Ends the writing side after what was written (write_eof). See Transport::write_eof.
  void write_eof() { transport_->write_eof(); }
  // Closes the connection after what was written (close).
  void close() noexcept { transport_->close(); }
  // Is it closed or closing (is_closing)?
  bool is_closing() const noexcept { return transport_->is_closing(); }
  // Returns when the connection is closed (wait_closed). Throws the error that it was lost with. Several
  // tasks may wait, and cancelling one leaves the others alone.
  detail::WaitClosedAwaiter wait_closed() noexcept { return detail::WaitClosedAwaiter(protocol_); }
  // A fact about the connection (get_extra_info), as BaseTransport::get_extra_info.
  template <class Key>
  std::optional<typename Key::type> get_extra_info() const {
    return transport_->get_extra_info<Key>();
  }
  // Drains, then makes a TLS connection of this one, in a build with TLS (start_tls): of a server in what
  // start_server serves or when the options say so. What the reader has and nobody read belongs to TLS
  // already, so nobody can slip in bytes that look as if they had come by TLS; `read_ahead` goes before it.
  // Nobody may read or write until it returns. Throws as drain() and EventLoop::start_tls
  // (<weir/net/start_tls.hpp>).
  Coro<void> start_tls(const SSLContext& context, const StartTLSOptions& options);

  // For weir's own rooms: the connection goes on over this transport.
  void replace_transport(Ref<Transport> transport) noexcept;
  const Ref<StreamReaderProtocol>& protocol() const noexcept { return protocol_; }
  const Ref<StreamReader>& reader() const noexcept { return reader_; }

 protected:
  ~StreamWriter() override;

 private:
  Ref<Transport> transport_;
  Ref<StreamReaderProtocol> protocol_;
  Ref<StreamReader> reader_;
};

// Feeds a reader from a transport, and knows what drain() and wait_closed() wait for
// (asyncio.StreamReaderProtocol). For those who make streams on transports of their own.
class WEIR_API StreamReaderProtocol final : public Protocol {
 public:
  // `handler`: see stream_handler; null where somebody else makes the writer. Throws std::invalid_argument
  // for a null reader.
  explicit StreamReaderProtocol(Ref<StreamReader> reader, Ref<detail::ClientHandler> handler = {});

  // Was it made with a handler, as those of a server are?
  bool serves() const noexcept { return serves_; }

  // See Protocol for each of these.
  void connection_made(Ref<Transport> transport) override;
  void connection_lost(std::exception_ptr error) override;
  void data_received(std::span<const std::byte> data) override;
  // The connection stays open for writing.
  bool eof_received() override;
  void pause_writing() override { paused_ = true; }
  void resume_writing() override;

 protected:
  ~StreamReaderProtocol() override;

 private:
  friend class detail::DrainAwaiter;
  friend class detail::WaitClosedAwaiter;

  Ref<StreamReader> reader_;  // until the connection is lost
  Ref<detail::ClientHandler> handler_;
  detail::StreamWaiterList draining_;
  detail::StreamWaiterList closing_;
  std::exception_ptr error_;  // that the connection was lost with
  bool serves_;
  bool paused_ = false;
  bool lost_ = false;
};

// What a StreamReaderProtocol calls for a new connection, with its reader and its writer: a function, or one
// that returns a Coro, which becomes a task. An exception of the task is reported, and closes the connection.
template <class F>
Ref<detail::ClientHandler> stream_handler(F&& function) {
  return make_ref<detail::ClientHandler>([call = std::decay_t<F>(std::forward<F>(function))](
                                             detail::ClientHandler& self, const Ref<Transport>& transport,
                                             Ref<StreamReader> reader, Ref<StreamWriter> writer) mutable {
    using Result = std::invoke_result_t<std::decay_t<F>&, Ref<StreamReader>, Ref<StreamWriter>>;
    if constexpr (std::is_void_v<Result>) {
      call(std::move(reader), std::move(writer));
    } else {
      auto task = transport->get_loop().create_task(call(std::move(reader), std::move(writer)));
      self.watch(*task.base(), transport);
    }
  });
}

}  // namespace weir::inline WEIR_ABI
