// StreamTransport: the one transport of byte streams, on the operations of the backend. It owns the
// connection's socket, and itself until connection_lost has run. Flow: stream_transport.cpp; writing:
// stream_transport_write.cpp.
#pragma once

#include "net/flow_limits.hpp"
#include "net/net_state.hpp"
#include "net/peer_address.hpp"
#include "runtime/loop_access.hpp"

#include <weir/context.hpp>
#include <weir/detail/block_pool.hpp>
#include <weir/future.hpp>
#include <weir/net/socket.hpp>
#include <weir/net/transport.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace weir::inline WEIR_ABI::detail {

class StreamTransport final : public Transport, private ReadStream {
 public:
  // Takes the socket, which is connected, into a transport that nobody has told the protocol of yet. `server`
  // may be null. Throws, leaving the socket to the caller, std::invalid_argument for a null protocol and what
  // attaching throws.
  static Ref<StreamTransport> make(EventLoop& loop, weir::Socket& socket, Ref<BaseProtocol> protocol,
                                   const RawAddress& peer, Context context, ServerState* server);
  // The same for what is read or written as a pipe.
  static Ref<StreamTransport> make_pipe(EventLoop& loop, weir::Socket& pipe, Ref<BaseProtocol> protocol,
                                        Context context, Direction direction);
  // connection_made, then reading. Once.
  void begin() noexcept;
  // The loop closes: reports an open transport, closes the socket, and lets go of everybody.
  void loop_closed() noexcept;
  // In a child of fork(): nothing is left that an operation could work on, and nobody is told.
  void leave_to_parent() noexcept;
  // It belongs to no server any more.
  void leave_server() noexcept;

  void close() noexcept override;
  bool is_closing() const noexcept override { return closing_; }
  void set_protocol(Ref<BaseProtocol> protocol) override;
  Ref<BaseProtocol> get_protocol() const noexcept override { return protocol_; }
  EventLoop& get_loop() const noexcept override { return *loop_; }
  bool is_reading() const noexcept override { return use_ != Use::writing && !closing_ && !reading_paused_; }
  void pause_reading() override;
  void resume_reading() override;
  void write(std::span<const std::byte> data) override;
  void write(Bytes&& data) override;
  void writelines(std::span<const std::span<const std::byte>> pieces) override;
  bool can_write_eof() const noexcept override { return use_ != Use::reading; }
  void write_eof() override;
  void abort() noexcept override;
  std::size_t get_write_buffer_size() const noexcept override;
  WriteBufferLimits get_write_buffer_limits() const noexcept override {
    return limits_ != nullptr ? *limits_ : use_ != Use::reading ? default_write_limits : WriteBufferLimits{};
  }
  void set_write_buffer_limits(std::optional<std::ptrdiff_t> high,
                               std::optional<std::ptrdiff_t> low) override;

  // Can TLS be put on it?
  bool can_carry() const noexcept {
    return use_ == Use::both && !(closing_ || eof_wanted_ || end_received_ || sending_file_ || is_over());
  }

  // The writing side for a sendfile() alone, until end_file(). Throws RuntimeError
  // when it is closing, ended or taken; check_file() does that only.
  void check_file() const;
  void begin_file();
  void end_file() noexcept;
  // When what was written before is sent or dropped; null when it is.
  std::optional<Future<void>> written_before();
  // What to send it on, or null: the transport is closing.
  BackendHandle* file_target() const noexcept { return closing_ ? nullptr : handle; }
  // The system refused to send with this: the connection is lost.
  void file_failed(std::int64_t error) noexcept { writing_failed(error); }

  static void* operator new(std::size_t size) { return allocate_block(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { free_block(memory, size); }

 private:
  friend class LinkedList<StreamTransport>;

  // A pipe goes one way. One that is written to is still watched for its reader's end, by the read stream;
  // one that is read is from the beginning what others are after write_eof().
  enum class Use : std::uint8_t { both, reading, writing };

  StreamTransport(EventLoop& loop, Ref<BaseProtocol> protocol, const RawAddress& peer, Context context,
                  ServerState* server);
  ~StreamTransport() override;
  void find_extra_info(std::string_view key, void* value) const override;

  Backend& backend() const noexcept { return LoopAccess::backend(*loop_); }
  // Is nothing left that an operation could work on: lost and over, or the loop is closing?
  bool is_over() const noexcept { return handle == nullptr; }
  TransportList& list() const noexcept;
  void use_protocol(Ref<BaseProtocol> protocol) noexcept;
  std::string describe() const;
  std::exception_ptr failure(const char* call, std::int64_t error) const;

  // Reading.
  static void received(ReadStream& stream, std::span<std::byte> data) noexcept;
  static std::span<std::byte> lend_buffer(ReadStream& stream) noexcept;
  static void reading_ended(Op& op) noexcept;
  void end_of_stream() noexcept;
  void start_reading() noexcept;

  // Writing.
  // Is it open, and nothing waits to be sent, so that what is written may go to the system?
  bool is_clear() const noexcept {
    return !(closing_ || eof_wanted_ || sending_file_) && queue_ == nullptr && !is_over();
  }
  bool may_write(const char* call, std::size_t size);
  // The queue, made when there is none; whoever asks puts something into it.
  WriteQueue& queue();
  void drop_queue() noexcept;
  [[noreturn]] void refuse_write(const char* call) const;
  void write_pieces(const char* call, std::span<const ConstBuffer> pieces);
  [[gnu::noinline]] void write_uncommon(std::span<const std::byte> data);
  // After an attempt to send that gave `result`: queues what was not taken, or ends the connection.
  [[gnu::noinline]] void write_rest(std::span<const std::byte> data, std::int64_t result);
  void queue_rest(std::span<const ConstBuffer> pieces, std::int64_t result);
  // Did the system take nothing, or less than all? Otherwise the connection is lost.
  bool is_partial(std::int64_t result);
  void after_queueing() noexcept;
  void check_still_connected() noexcept;
  void send_queued() noexcept;
  static void sent(Op& op) noexcept;
  void after_sending() noexcept;
  void pause_writing_if_full() noexcept;
  void end_writing() noexcept;
  void writing_failed(std::int64_t error) noexcept;

  // Ending.
  void report(const char* message, std::exception_ptr exception) noexcept;
  void callback_failed(const char* message) noexcept;
  void lose(std::exception_ptr error) noexcept;
  static void run_lost(void* object, std::uintptr_t error, std::uintptr_t, ReadyAction action);
  void finish(std::exception_ptr error) noexcept;

  // In the order that wastes no space: an idle connection is little more than this object.
  bool closing_ : 1 = false;  // close(), or lost
  bool lost_ : 1 = false;     // connection_lost is on its way
  bool reading_paused_ : 1 = false;
  bool end_received_ : 1 = false;    // the stream has ended: there is nothing more to read
  bool writing_paused_ : 1 = false;  // pause_writing was called last
  bool eof_wanted_ : 1 = false;      // write_eof()
  bool eof_sent_ : 1 = false;
  bool sending_file_ : 1 = false;  // writing belongs to a sendfile()
  bool buffered_ = false;          // the kind of protocol_
  IgnoredWrites ignored_writes_;
  Use use_ = Use::both;
  native_socket native_ = invalid_socket;
  EventLoop* loop_;
  Ref<BaseProtocol> protocol_;
  WriteQueue* queue_ = nullptr;  // owned; while something is unsent
  Context context_;
  ServerState* server_;  // whose connection it is, or null
  StreamTransport* previous_ = nullptr;
  StreamTransport* next_ = nullptr;
  PeerAddress peer_;
  std::unique_ptr<WriteBufferLimits> limits_;  // null until somebody sets them
};

// Calls connection_made in a turn of its own and gives the transport after it; aborts it when the task is
// cancelled meanwhile. `call` is what the task waits for.
Coro<Ref<Transport>> begun(Ref<StreamTransport> transport, const char* call);

}  // namespace weir::inline WEIR_ABI::detail
