// The life of a datagram endpoint: receiving, sending with its flow control, ending.
#include "net/datagram_endpoint.hpp"

#include "net/extra_info.hpp"
#include "net/os_error.hpp"
#include "net/socket_access.hpp"
#include "net/transport_calls.hpp"

#include <weir/exceptions.hpp>
#include <weir/log.hpp>

#include <cassert>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

// When to ask again a system that is short of buffers.
constexpr std::chrono::milliseconds retry_interval(1);
// What is queued leaves at the latest when it is so much.
constexpr std::size_t most_deferred = 64 * 1024;

void check_kind(const Ref<BaseProtocol>& protocol, const char* call) {
  if (protocol == nullptr) {
    throw std::invalid_argument(std::string(call) + ": there is no protocol");
  }
  if (protocol->kind() != ProtocolKind::datagram) {
    throw std::invalid_argument(std::string(call) + ": a DatagramProtocol was expected");
  }
}

}  // namespace

// --- Making

DatagramEndpoint::DatagramEndpoint(EventLoop& loop, Ref<BaseProtocol> protocol, Context context)
    : loop_(&loop), protocol_(std::move(protocol)), context_(std::move(context)) {
  on_datagram = &received;
  on_error = &receive_failed;
  on_done = &receiving_ended;
}

DatagramEndpoint::~DatagramEndpoint() { assert(is_over() && queue_ == nullptr); }

Ref<DatagramEndpoint> DatagramEndpoint::make(EventLoop& loop, weir::Socket& socket,
                                             std::optional<Address> remote, Ref<BaseProtocol> protocol,
                                             Context context) {
  check_kind(protocol, "create_datagram_endpoint");
  NetState& net = NetState::of(loop);
  SocketAccess::take_over(socket, loop, "create_datagram_endpoint");
  auto endpoint = Ref<DatagramEndpoint>(new DatagramEndpoint(loop, std::move(protocol), std::move(context)));
  RawAddress peer;
  endpoint->connected_ = Backend::Sockets::peer_address(socket.native_handle(), peer) >= 0;
  endpoint->remote_ = remote || !endpoint->connected_ ? remote : Address(peer);
  endpoint->family_ = socket.family();
  endpoint->native_ = SocketAccess::give(socket, endpoint->handle);
  endpoint->backend().set_transport(endpoint->handle, true);
  endpoint->add_ref();  // its own, until finish() or loop_closed()
  net.endpoints.push(*endpoint);
  return endpoint;
}

void DatagramEndpoint::begin() noexcept {
  const Ref<BaseProtocol> keep = protocol_;
  if (keep == nullptr) {
    return;
  }
  try {
    const ContextScope scope(context_);
    protocol().connection_made(Ref<DatagramTransport>(this));
  } catch (...) {
    report("protocol.connection_made() failed", std::current_exception());
  }
  if (!closing_) {
    start_receiving();
  }
}

void DatagramEndpoint::set_protocol(Ref<BaseProtocol> protocol) {
  check_kind(protocol, "set_protocol");
  if (!is_over()) {
    const Ref<BaseProtocol> old = std::exchange(protocol_, std::move(protocol));
  }
}

void DatagramEndpoint::find_extra_info(std::string_view key, void* value) const {
  find_socket_info(key, value, is_over() ? invalid_socket : native_,
                   connected_ ? remote_->raw() : RawAddress());
}

std::string DatagramEndpoint::describe() const {
  RawAddress own;
  if (native_ != invalid_socket) {
    Backend::Sockets::local_address(native_, own);
  }
  return "<DatagramTransport sockname=" + Address(own).to_string() +
         (remote_ ? " remote=" + remote_->to_string() : "") + (closing_ ? " closing>" : ">");
}

// --- Receiving

void DatagramEndpoint::start_receiving() noexcept {
  if (!is_over() && backend().start(static_cast<DatagramStream&>(*this)) == Started::done) [[unlikely]] {
    lose(std::make_exception_ptr(os_error(result, "recvfrom")));
  }
}

// The protocol is held: it may be replaced while it is called.
void DatagramEndpoint::received(DatagramStream& stream, std::span<std::byte> data,
                                const RawAddress& from) noexcept {
  auto& self = static_cast<DatagramEndpoint&>(stream);
  const Ref<BaseProtocol> keep = self.protocol_;
  try {
    const ContextScope scope(self.context_);
    self.protocol().datagram_received(data, Address(from));
  } catch (...) {
    self.report("protocol.datagram_received() failed", std::current_exception());
  }
}

void DatagramEndpoint::receive_failed(DatagramStream& stream, std::int64_t error) noexcept {
  auto& self = static_cast<DatagramEndpoint&>(stream);
  self.tell(error, "recvfrom", self.connected_ ? *self.remote_ : Address());
}

void DatagramEndpoint::receiving_ended(Op& op) noexcept {
  auto& self = static_cast<DatagramEndpoint&>(static_cast<DatagramStream&>(op));
  const std::exception_ptr error = std::make_exception_ptr(os_error(self.result, "recvfrom"));
  self.report("Fatal error: the endpoint can receive no more.", error);
  self.lose(error);
}

// --- Sending

const RawAddress* DatagramEndpoint::destination(const Address& address) const {
  const auto refuse = [](const std::string& why) { throw std::invalid_argument("sendto: " + why); };
  if (address.family() == AddressFamily::unspecified) {
    if (!remote_) {
      refuse("the endpoint has no remote address, so that each datagram needs an address");
    }
  } else if (address.family() != family_) {
    refuse(address.to_string() + " is of another family than the endpoint");
  } else if (remote_ && address != *remote_) {
    refuse("the address must be none or " + remote_->to_string() + ", not " + address.to_string());
  }
  return connected_ ? nullptr : remote_ ? &remote_->raw() : &address.raw();
}

// Every callback is an item of the ready queue: while one runs, as many were taken out of it.
bool DatagramEndpoint::is_first_of_caller() noexcept {
  const ReadyQueue& ready = LoopAccess::ready(*loop_);
  return std::exchange(last_caller_, ready.next_sequence() - ready.size()) != last_caller_;
}

void DatagramEndpoint::sendto(std::span<const std::byte> data, const Address& address) {
  const RawAddress* const to = destination(address);
  if (closing_ || is_over()) [[unlikely]] {
    if (ignored_writes_.is_one_too_many()) {
      log(LogLevel::warning, "sendto() on " + describe() + " does nothing: the endpoint is closed");
    }
    return;
  }
  if (queue_ != nullptr || !is_first_of_caller() || rare_path(FaultPoint::write_later)) {
    queue(data, to);
    return;
  }
  const Datagram datagram{data, to};
  const std::int64_t taken = backend().try_send_to(handle, {&datagram, 1});
  if (taken == 1) [[likely]] {
    return;
  }
  if (taken == -EAGAIN || is_later(taken, to)) {
    queue(data, to);
  } else {
    const Ref<DatagramEndpoint> keep(this);
    send_failed(taken, to);
  }
}

void DatagramEndpoint::queue(std::span<const std::byte> data, const RawAddress* to) {
  const Ref<DatagramEndpoint> keep(this);
  try {
    if (queue_ == nullptr) {
      queue_ = std::make_unique<DatagramQueue>();
      queue_->owner = this;
      queue_->handle = handle;
      queue_->on_done = &sent;
    }
    queue_->append(data, to);
    const bool is_waiting = queue_->state != OpState::idle || sending_ || retrying_;
    if (!is_waiting && !flush_queued_) {
      flush_queued_ = true;
      LoopAccess::ready(*loop_).push(&run_send_queued, this);
    }
    const bool is_enough = queue_->count() >= DatagramQueue::most_at_once ||
                           queue_->size() >= most_deferred || queue_->size() > limits_.high;
    if (!is_waiting && is_enough) {
      send_queued();
    }
  } catch (...) {
    lose(std::current_exception());
    throw;
  }
  pause_writing_if_full();
}

void DatagramEndpoint::run_send_queued(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
  if (action != ReadyAction::run) {
    return;
  }
  const Ref<DatagramEndpoint> self(static_cast<DatagramEndpoint*>(object));
  self->flush_queued_ = false;
  if (self->lost_) {
    return;
  }
  if (self->queue_ != nullptr && self->queue_->state == OpState::idle && !self->retrying_) {
    self->send_queued();
  }
  self->after_sending();  // also of what queue() has sent meanwhile
}

// Sends what is queued until the system takes no more. The operation must be idle.
void DatagramEndpoint::send_queued() noexcept {
  sending_ = true;
  while (!lost_ && !queue_->empty()) {
    queue_->gather();
    const Datagram first = queue_->front();
    std::int64_t taken = backend().try_send_to(handle, queue_->datagrams);
    if (taken == -EAGAIN && !is_later(taken, first.to)) {
      if (backend().start(*queue_) == Started::pending) {
        break;
      }
      taken = queue_->result;
    }
    if (taken > 0) {
      queue_->consume(static_cast<std::size_t>(taken));
    } else if (is_later(taken, first.to)) {
      retry_later();
      break;
    } else {
      const std::optional<RawAddress> to =
          first.to != nullptr ? std::optional<RawAddress>(*first.to) : std::nullopt;
      queue_->consume(1);
      send_failed(taken, to ? &*to : nullptr);
    }
  }
  sending_ = false;
  if (queue_ != nullptr && queue_->empty()) {
    queue_.reset();
  }
}

// BSD has no room in a queue of its own (ENOBUFS) and does not tell when there is; Linux does not tell when
// another Unix socket, to which this one is not connected, has room again.
bool DatagramEndpoint::is_later(std::int64_t error, const RawAddress* to) const noexcept {
  return error == -ENOBUFS || (error == -EAGAIN && to != nullptr && to->family == AddressFamily::unix_domain);
}

void DatagramEndpoint::retry_later() noexcept {
  retrying_ = true;
  retry_ = LoopAccess::call_at_plain(*loop_, loop_->time() + retry_interval, Callback([this] {
    retrying_ = false;
    const Ref<DatagramEndpoint> self(this);
    send_queued();
    after_sending();
  }));
}

void DatagramEndpoint::sent(Op& op) noexcept {
  auto& queue = static_cast<DatagramQueue&>(op);
  DatagramEndpoint& endpoint = *queue.owner;
  if (endpoint.lost_) {
    const std::exception_ptr error = std::move(queue.error);
    endpoint.queue_.reset();
    endpoint.finish(error);
    return;
  }
  const Ref<DatagramEndpoint> keep(&endpoint);
  if (queue.result > 0) {
    queue.consume(static_cast<std::size_t>(queue.result));
  } else {
    const Datagram first = queue.front();
    if (endpoint.is_later(queue.result, first.to)) {
      endpoint.retry_later();
      return;
    }
    const std::optional<RawAddress> to =
        first.to != nullptr ? std::optional<RawAddress>(*first.to) : std::nullopt;
    queue.consume(1);
    endpoint.sending_ = true;
    endpoint.send_failed(queue.result, to ? &*to : nullptr);
    endpoint.sending_ = false;
  }
  if (endpoint.queue_ != nullptr && !endpoint.lost_) {
    endpoint.send_queued();
  }
  endpoint.after_sending();
}

// Whoever was told to pause is told to go on, whether datagrams were taken or lost.
void DatagramEndpoint::after_sending() noexcept {
  if (!lost_ && writing_paused_ && get_write_buffer_size() <= limits_.low) {
    writing_paused_ = false;
    call_flow_control(protocol_, context_, &BaseProtocol::resume_writing, [this](std::exception_ptr error) {
      report("protocol.resume_writing() failed", std::move(error));
    });
  }
  if (closing_ && !lost_ && queue_ == nullptr) {
    lose(nullptr);
  }
}

void DatagramEndpoint::send_failed(std::int64_t error, const RawAddress* to) noexcept {
  tell(error, "sendto", to != nullptr ? Address(*to) : *remote_);
}

// --- Flow control

std::size_t DatagramEndpoint::get_write_buffer_size() const noexcept {
  return queue_ != nullptr && !lost_ ? queue_->size() : 0;
}

void DatagramEndpoint::pause_writing_if_full() noexcept {
  if (writing_paused_ || lost_ || get_write_buffer_size() <= limits_.high) {
    return;
  }
  writing_paused_ = true;
  call_flow_control(protocol_, context_, &BaseProtocol::pause_writing, [this](std::exception_ptr error) {
    report("protocol.pause_writing() failed", std::move(error));
  });
}

void DatagramEndpoint::set_write_buffer_limits(std::optional<std::ptrdiff_t> high,
                                               std::optional<std::ptrdiff_t> low) {
  limits_ = checked_write_limits(high, low);
  if (!is_over()) {
    pause_writing_if_full();
  }
}

// --- Ending

void DatagramEndpoint::close() noexcept {
  if (closing_ || is_over()) {
    return;
  }
  closing_ = true;
  backend().stop(static_cast<DatagramStream&>(*this));
  if (queue_ == nullptr) {
    lose(nullptr);
  }
}

void DatagramEndpoint::abort() noexcept {
  if (!is_over()) {
    lose(nullptr);
  }
}

// The endpoint lives on: an error concerns one datagram.
void DatagramEndpoint::tell(std::int64_t error, const char* call, const Address& address) noexcept {
  const Ref<BaseProtocol> keep = protocol_;
  try {
    const ContextScope scope(context_);
    protocol().error_received(address.family() != AddressFamily::unspecified ? os_error(error, call, address)
                                                                             : os_error(error, call));
  } catch (...) {
    report("protocol.error_received() failed", std::current_exception());
  }
}

void DatagramEndpoint::report(const char* message, std::exception_ptr exception) noexcept {
  report_failure(*this, protocol_.get(), describe(), message, std::move(exception));
}

// The endpoint is over: what is unsent is dropped, and connection_lost comes in a later turn.
void DatagramEndpoint::lose(std::exception_ptr error) noexcept {
  if (lost_ || protocol_ == nullptr || LoopAccess::is_closing(*loop_)) {
    return;
  }
  lost_ = true;
  closing_ = true;
  backend().stop(static_cast<DatagramStream&>(*this));
  retry_.cancel();
  if (queue_ != nullptr && queue_->state != OpState::idle) {
    queue_->error = std::move(error);
    backend().cancel(*queue_);
    return;  // sent() goes on
  }
  push_lost(*loop_, &run_lost, this, std::move(error));
}

void DatagramEndpoint::run_lost(void* object, std::uintptr_t error, std::uintptr_t, ReadyAction action) {
  std::exception_ptr unboxed = unbox_lost(error);
  if (action == ReadyAction::run) {
    static_cast<DatagramEndpoint*>(object)->finish(std::move(unboxed));
  }
}

// The socket is closed after the call, so that connection_lost can still ask it things.
void DatagramEndpoint::finish(std::exception_ptr error) noexcept {
  const auto self = Ref<DatagramEndpoint>::adopt(this);
  queue_.reset();
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
  LoopAccess::net(*loop_)->endpoints.erase(*this);
  protocol_.reset();
  context_ = Context();
}

void DatagramEndpoint::leave_to_parent() noexcept {
  LoopAccess::net(*loop_)->endpoints.erase(*this);
  lost_ = true;
  closing_ = true;
  handle = nullptr;
}

void DatagramEndpoint::loop_closed() noexcept {
  const auto self = Ref<DatagramEndpoint>::adopt(this);
  LoopAccess::net(*loop_)->endpoints.erase(*this);
  if (!closing_) {
    log(LogLevel::warning, "unclosed transport " + describe() + ": its loop was closed");
  }
  lost_ = true;
  closing_ = true;
  handle = nullptr;
  Backend::Sockets::close(std::exchange(native_, invalid_socket));
  queue_.reset();
  protocol_.reset();
  context_ = Context();
}

}  // namespace weir::inline WEIR_ABI::detail
