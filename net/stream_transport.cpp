// The life of a stream transport: from connection_made through reading to connection_lost. Writing:
// stream_transport_write.cpp.
#include "net/stream_transport.hpp"

#include "net/extra_info.hpp"
#include "net/os_error.hpp"
#include "net/server_state.hpp"
#include "net/socket_access.hpp"
#include "net/transport_calls.hpp"

#include <weir/exceptions.hpp>
#include <weir/log.hpp>

#include <cassert>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

// What get_buffer is told: as much as the loop's own buffer holds.
constexpr std::size_t buffer_hint = 64 * 1024;

}  // namespace

// --- Making

StreamTransport::StreamTransport(EventLoop& loop, Ref<BaseProtocol> protocol, const RawAddress& peer,
                                 Context context, ServerState* server)
    : loop_(&loop), context_(std::move(context)), server_(server), peer_(peer) {
  on_data = &received;
  on_done = &reading_ended;
  use_protocol(std::move(protocol));
}

StreamTransport::~StreamTransport() { assert(is_over() && queue_ == nullptr); }

Ref<StreamTransport> StreamTransport::make(EventLoop& loop, weir::Socket& socket, Ref<BaseProtocol> protocol,
                                           const RawAddress& peer, Context context, ServerState* server) {
  check_made(protocol);
  NetState::of(loop);
  SocketAccess::take_over(socket, loop, "transport");
  auto transport =
      Ref<StreamTransport>(new StreamTransport(loop, std::move(protocol), peer, std::move(context), server));
  transport->native_ = SocketAccess::give(socket, transport->handle);
  transport->backend().set_transport(transport->handle, true);
  if (peer.family == AddressFamily::inet || peer.family == AddressFamily::inet6) {
    transport->backend().set_tcp(transport->handle);
  }
  transport->add_ref();  // its own, until finish() or loop_closed()
  transport->list().push(*transport);
  return transport;
}

Ref<StreamTransport> StreamTransport::make_pipe(EventLoop& loop, weir::Socket& pipe,
                                                Ref<BaseProtocol> protocol, Context context,
                                                Direction direction) {
  const Ref<StreamTransport> transport =
      make(loop, pipe, std::move(protocol), RawAddress(), std::move(context), nullptr);
  transport->backend().set_pipe(transport->handle, direction);
  transport->use_ = direction == Direction::read ? Use::reading : Use::writing;
  transport->eof_wanted_ = direction == Direction::read;
  return transport;
}

TransportList& StreamTransport::list() const noexcept {
  return server_ != nullptr ? server_->clients : LoopAccess::net(*loop_)->transports;
}

void StreamTransport::leave_server() noexcept {
  server_->clients.erase(*this);
  server_ = nullptr;
  list().push(*this);
}

void StreamTransport::use_protocol(Ref<BaseProtocol> protocol) noexcept {
  buffered_ = protocol->kind() == ProtocolKind::buffered;
  get_buffer = buffered_ ? &lend_buffer : nullptr;
  protocol_ = std::move(protocol);
}

void StreamTransport::begin() noexcept {
  const Ref<BaseProtocol> protocol = protocol_;
  if (protocol == nullptr) {
    return;
  }
  try {
    const ContextScope scope(context_);
    call_connection_made(*protocol, Ref<Transport>(this));
  } catch (...) {
    report("protocol.connection_made() failed", std::current_exception());
  }
  // connection_made may have paused and resumed reading, and so begun it.
  if (!closing_ && !reading_paused_ && state == OpState::idle) {
    start_reading();
  }
}

void StreamTransport::set_protocol(Ref<BaseProtocol> protocol) {
  check_new_protocol(protocol);
  if (is_over()) {
    return;
  }
  // A read that is under way may have the old protocol's memory.
  const bool reading = state != OpState::idle;
  if (reading) {
    backend().stop(*this);
  }
  const Ref<BaseProtocol> old = std::move(protocol_);
  use_protocol(std::move(protocol));
  if (reading) {
    start_reading();
  }
}

void StreamTransport::find_extra_info(std::string_view key, void* value) const {
  if (key == extra::peercred::name) {
    PeerCredentials credentials;
    if (!is_over() && Backend::has(Capability::peer_credentials) &&
        Backend::Sockets::peer_credentials(native_, credentials) >= 0) {
      store_extra(value, credentials);
    }
  } else if (key == extra::pipe::name) {
    if (!is_over() && use_ != Use::both) {
      store_extra(value, native_);
    }
  } else if (key != extra::socket::name || use_ == Use::both) {
    find_socket_info(key, value, is_over() ? invalid_socket : native_, peer_.raw());
  }
}

std::string StreamTransport::describe() const {
  const std::string what =
      use_ == Use::both ? "peername=" + Address(peer_.raw()).to_string() : "pipe=" + std::to_string(native_);
  return "<Transport " + what + (closing_ ? " closing>" : ">");
}

// What connection_lost gets for an error of the system.
std::exception_ptr StreamTransport::failure(const char* call, std::int64_t error) const {
  return std::make_exception_ptr(use_ == Use::both ? os_error(error, call, Address(peer_.raw()))
                                                   : os_error(error, std::string("pipe ") + call));
}

// --- Reading

void StreamTransport::start_reading() noexcept {
  if (end_received_ || is_over()) {
    return;
  }
  if (backend().start(static_cast<ReadStream&>(*this)) == Started::done) [[unlikely]] {
    lose(failure("recv", result));
  }
}

void StreamTransport::pause_reading() {
  if (use_ == Use::writing) {
    throw NotSupportedError("pause_reading");
  }
  if (closing_ || reading_paused_ || is_over()) {
    return;
  }
  reading_paused_ = true;
  backend().stop(static_cast<ReadStream&>(*this));
}

void StreamTransport::resume_reading() {
  if (use_ == Use::writing) {
    throw NotSupportedError("resume_reading");
  }
  if (closing_ || !reading_paused_ || is_over()) {
    return;
  }
  reading_paused_ = false;
  start_reading();
}

// The protocol is held: it may be replaced while it is called.
void StreamTransport::received(ReadStream& stream, std::span<std::byte> data) noexcept {
  auto& self = static_cast<StreamTransport&>(stream);
  const Ref<BaseProtocol> protocol = self.protocol_;
  if (!self.buffered_) [[likely]] {
    try {
      const ContextScope scope(self.context_);
      static_cast<Protocol&>(*protocol).data_received(data);
    } catch (...) {
      self.callback_failed("Fatal error: protocol.data_received() call failed.");
    }
    return;
  }
  try {
    const ContextScope scope(self.context_);
    static_cast<BufferedProtocol&>(*protocol).buffer_updated(data.size());
  } catch (...) {
    self.callback_failed("Fatal error: protocol.buffer_updated() call failed.");
  }
}

std::span<std::byte> StreamTransport::lend_buffer(ReadStream& stream) noexcept {
  auto& self = static_cast<StreamTransport&>(stream);
  const Ref<BaseProtocol> protocol = self.protocol_;
  std::span<std::byte> buffer;
  try {
    const ContextScope scope(self.context_);
    buffer = static_cast<BufferedProtocol&>(*protocol).get_buffer(buffer_hint);
    if (buffer.empty()) {
      throw RuntimeError("get_buffer() returned an empty buffer");
    }
  } catch (...) {
    self.callback_failed("Fatal error: protocol.get_buffer() call failed.");
  }
  // It may have paused, closed, or set another protocol: then nothing may be written into this memory.
  return stream.state == OpState::idle || self.protocol_ != protocol ? std::span<std::byte>() : buffer;
}

void StreamTransport::reading_ended(Op& op) noexcept {
  auto& self = static_cast<StreamTransport&>(static_cast<ReadStream&>(op));
  if (self.result == 0) {
    self.end_of_stream();
  } else {
    self.lose(self.failure("recv", self.result));
  }
}

void StreamTransport::end_of_stream() noexcept {
  end_received_ = true;
  if (use_ == Use::writing) {
    lose(queue_ != nullptr ? failure("send", -EPIPE) : nullptr);
    return;
  }
  const Ref<BaseProtocol> protocol = protocol_;
  bool stays_open = false;
  try {
    const ContextScope scope(context_);
    stays_open = call_eof_received(*protocol);
  } catch (...) {
    callback_failed("Fatal error: protocol.eof_received() call failed.");
    return;
  }
  if (!stays_open || use_ == Use::reading) {
    close();
  }
}

// --- Ending

void StreamTransport::close() noexcept {
  if (closing_ || is_over()) {
    return;
  }
  closing_ = true;
  backend().stop(static_cast<ReadStream&>(*this));
  if (queue_ == nullptr) {
    lose(nullptr);
  }
}

void StreamTransport::abort() noexcept {
  if (!is_over()) {
    lose(nullptr);
  }
}

void StreamTransport::report(const char* message, std::exception_ptr exception) noexcept {
  report_failure(*this, protocol_.get(), describe(), message, std::move(exception));
}

void StreamTransport::callback_failed(const char* message) noexcept {
  std::exception_ptr error = std::current_exception();
  report(message, error);
  lose(std::move(error));
}

// The connection is over: what is unsent is dropped, and connection_lost comes in a later turn.
void StreamTransport::lose(std::exception_ptr error) noexcept {
  if (lost_ || protocol_ == nullptr || LoopAccess::is_closing(*loop_)) {
    return;
  }
  lost_ = true;
  closing_ = true;
  backend().stop(static_cast<ReadStream&>(*this));
  if (sending_file_ && queue_ == nullptr) [[unlikely]] {
    if (Op* const op = backend().pending(handle, Direction::write); op != nullptr) {
      backend().cancel(*op);
    }
  }
  if (queue_ != nullptr) {
    if (queue_->state != OpState::idle) {
      queue_->error = std::move(error);
      backend().cancel(*queue_);
      return;  // sent() goes on
    }
    drop_queue();
  }
  push_lost(*loop_, &run_lost, this, std::move(error));
}

void StreamTransport::run_lost(void* object, std::uintptr_t error, std::uintptr_t, ReadyAction action) {
  std::exception_ptr unboxed = unbox_lost(error);
  if (action == ReadyAction::run) {
    static_cast<StreamTransport*>(object)->finish(std::move(unboxed));
  }
}

// The socket is closed after the call, so that connection_lost can still ask it things.
void StreamTransport::finish(std::exception_ptr error) noexcept {
  const auto self = Ref<StreamTransport>::adopt(this);
  const Ref<BaseProtocol> protocol = protocol_;
  try {
    const ContextScope scope(context_);
    protocol->connection_lost(std::move(error));
  } catch (...) {
    report("protocol.connection_lost() failed", std::current_exception());
  }
  if (handle != nullptr) {
    backend().close(std::exchange(handle, nullptr));
  }
  native_ = invalid_socket;
  ServerState* const server = server_;
  list().erase(*this);
  server_ = nullptr;
  if (server != nullptr) {
    server->client_gone();
  }
  // Last, and with nothing of the server in hand: what goes now may hold the last reference to it.
  protocol_.reset();
  context_ = Context();
}

void StreamTransport::leave_to_parent() noexcept {
  list().erase(*this);
  server_ = nullptr;
  lost_ = true;
  closing_ = true;
  handle = nullptr;
}

void StreamTransport::loop_closed() noexcept {
  const auto self = Ref<StreamTransport>::adopt(this);
  list().erase(*this);
  server_ = nullptr;
  if (!closing_) {
    log(LogLevel::warning, "unclosed transport " + describe() + ": its loop was closed");
  }
  lost_ = true;
  closing_ = true;
  handle = nullptr;
  Backend::Sockets::close(std::exchange(native_, invalid_socket));
  if (queue_ != nullptr) {
    delete std::exchange(queue_, nullptr);
  }
  protocol_.reset();
  context_ = Context();
}

}  // namespace weir::inline WEIR_ABI::detail
