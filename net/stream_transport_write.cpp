// The writing side of a stream transport, and its flow control. What the system takes at once is never
// queued.
#include "net/stream_transport.hpp"

#include "net/os_error.hpp"
#include "net/server_state.hpp"
#include "net/transport_calls.hpp"

#include <weir/exceptions.hpp>
#include <weir/log.hpp>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

// A writer that never returns to the loop would not learn of a reset while its writes are only queued.
constexpr int queued_writes_until_check = 8;

}  // namespace

bool StreamTransport::may_write(const char* call, std::size_t size) {
  if (eof_wanted_) [[unlikely]] {
    if (use_ == Use::reading) {
      throw NotSupportedError(call);
    }
    throw RuntimeError(std::string(call) + ": cannot write after write_eof()");
  }
  if (size == 0) {
    return false;
  }
  if (closing_ || is_over()) [[unlikely]] {
    if (ignored_writes_.is_one_too_many()) {
      log(LogLevel::warning,
          std::string(call) + "() on " + describe() + " does nothing: the connection is gone");
    }
    return false;
  }
  return true;
}

WriteQueue& StreamTransport::queue() {
  if (queue_ == nullptr) {
    NetState& net = *LoopAccess::net(*loop_);
    queue_ = net.spare != nullptr ? net.spare.release() : new WriteQueue;
    queue_->owner = this;
    queue_->handle = handle;
    queue_->on_done = &sent;
  }
  return *queue_;
}

void StreamTransport::drop_queue() noexcept {
  std::unique_ptr<WriteQueue> queue(std::exchange(queue_, nullptr));
  if (!queue->empty()) {
    queue->clear();
  }
  NetState& net = *LoopAccess::net(*loop_);
  if (net.spare == nullptr && !rare_path(FaultPoint::no_spare_queue)) {
    net.spare = std::move(queue);
  }
}

// What the system takes whole is all there is to most writes.
void StreamTransport::write(std::span<const std::byte> data) {
  if (!is_clear() || data.empty()) [[unlikely]] {
    write_uncommon(data);
    return;
  }
  const std::int64_t result =
      rare_path(FaultPoint::write_later) ? -EAGAIN : backend().try_send(handle, {&data, 1});
  if (result != static_cast<std::int64_t>(data.size())) [[unlikely]] {
    write_rest(data, result);
  }
}

void StreamTransport::write_uncommon(std::span<const std::byte> data) { write_pieces("write", {&data, 1}); }

void StreamTransport::write_rest(std::span<const std::byte> data, std::int64_t result) {
  queue_rest({&data, 1}, result);
}

void StreamTransport::writelines(std::span<const std::span<const std::byte>> pieces) {
  write_pieces("writelines", pieces);
}

void StreamTransport::write_pieces(const char* call, std::span<const ConstBuffer> pieces) {
  std::size_t size = 0;
  for (const ConstBuffer& piece : pieces) {
    size += piece.size();
  }
  if (!may_write(call, size)) {
    return;
  }
  const std::int64_t result =
      queue_ != nullptr || rare_path(FaultPoint::write_later) ? -EAGAIN : backend().try_send(handle, pieces);
  if (result != static_cast<std::int64_t>(size)) {
    queue_rest(pieces, result);
  }
}

void StreamTransport::write(Bytes&& data) {
  if (!may_write("write", data.size())) {
    return;
  }
  const ConstBuffer piece[] = {data};
  const std::int64_t result =
      queue_ != nullptr || rare_path(FaultPoint::write_later) ? -EAGAIN : backend().try_send(handle, piece);
  if (result == static_cast<std::int64_t>(data.size()) || !is_partial(result)) {
    return;
  }
  try {
    queue().append(std::move(data), static_cast<std::size_t>(std::max<std::int64_t>(result, 0)));
  } catch (...) {
    lose(std::current_exception());
    throw;
  }
  after_queueing();
}

bool StreamTransport::is_partial(std::int64_t result) {
  if (result < 0 && result != -EAGAIN) {
    writing_failed(result);
    return false;
  }
  return true;
}

void StreamTransport::queue_rest(std::span<const ConstBuffer> pieces, std::int64_t result) {
  if (!is_partial(result)) {
    return;
  }
  auto taken = static_cast<std::size_t>(std::max<std::int64_t>(result, 0));
  try {
    WriteQueue& rest = queue();
    for (const ConstBuffer& piece : pieces) {
      const std::size_t skipped = std::min(taken, piece.size());
      taken -= skipped;
      if (skipped != piece.size()) {
        rest.append(piece.subspan(skipped));
      }
    }
  } catch (...) {
    lose(std::current_exception());
    throw;
  }
  after_queueing();
}

// An operation that is under way takes what was appended when it has answered.
void StreamTransport::after_queueing() noexcept {
  if (queue_->state == OpState::idle) {
    send_queued();
  } else {
    check_still_connected();
  }
  pause_writing_if_full();
}

void StreamTransport::check_still_connected() noexcept {
  if (++queue_->unseen_writes < queued_writes_until_check && !rare_path(FaultPoint::early_check)) {
    return;
  }
  queue_->unseen_writes = 0;
  if (const std::int64_t error = Backend::Sockets::get_option(native_, SocketOption::error); error > 0) {
    lose(failure("send", -error));
  }
}

// Sends what is queued until the system takes no more. The operation must be idle.
void StreamTransport::send_queued() noexcept {
  WriteQueue& queue = *queue_;
  for (;;) {
    queue.gather();
    if (backend().start(queue) == Started::pending) {
      return;
    }
    if (queue.result < 0) {
      writing_failed(queue.result);
      return;
    }
    queue.consume(static_cast<std::size_t>(queue.result));
    if (queue.empty()) {
      drop_queue();
      return;
    }
  }
}

void StreamTransport::writing_failed(std::int64_t error) noexcept {
  if (queue_ != nullptr) {
    drop_queue();
  }
  lose(failure("send", error));
}

void StreamTransport::sent(Op& op) noexcept {
  auto& queue = static_cast<WriteQueue&>(op);
  StreamTransport& self = *queue.owner;
  if (self.lost_) {
    std::exception_ptr error = std::move(queue.error);
    self.drop_queue();
    self.finish(std::move(error));
    return;
  }
  if (queue.result < 0) {
    self.writing_failed(queue.result);
    return;
  }
  queue.consume(static_cast<std::size_t>(queue.result));
  queue.unseen_writes = 0;
  if (queue.empty()) {
    self.drop_queue();
  } else {
    self.send_queued();
  }
  self.after_sending();
}

void StreamTransport::after_sending() noexcept {
  if (!lost_ && writing_paused_ && get_write_buffer_size() <= get_write_buffer_limits().low) {
    writing_paused_ = false;
    call_flow_control(protocol_, context_, &BaseProtocol::resume_writing, [this](std::exception_ptr error) {
      report("protocol.resume_writing() failed", std::move(error));
    });
  }
  if (lost_ || queue_ != nullptr) {
    return;
  }
  if (closing_) {
    lose(nullptr);
  } else if (eof_wanted_ && !eof_sent_) {
    end_writing();
  }
}

// --- Flow control

std::size_t StreamTransport::get_write_buffer_size() const noexcept {
  return queue_ != nullptr && !lost_ ? queue_->size() : 0;
}

void StreamTransport::pause_writing_if_full() noexcept {
  if (writing_paused_ || get_write_buffer_size() <= get_write_buffer_limits().high) {
    return;
  }
  writing_paused_ = true;
  call_flow_control(protocol_, context_, &BaseProtocol::pause_writing, [this](std::exception_ptr error) {
    report("protocol.pause_writing() failed", std::move(error));
  });
}

void StreamTransport::set_write_buffer_limits(std::optional<std::ptrdiff_t> high,
                                              std::optional<std::ptrdiff_t> low) {
  if (use_ == Use::reading) {
    throw NotSupportedError("set_write_buffer_limits");
  }
  limits_ = std::make_unique<WriteBufferLimits>(checked_write_limits(high, low));
  pause_writing_if_full();
}

// --- The end of writing

void StreamTransport::write_eof() {
  if (use_ == Use::reading) {
    throw NotSupportedError("write_eof");
  }
  if (closing_ || eof_wanted_ || is_over()) {
    return;
  }
  eof_wanted_ = true;
  if (use_ == Use::writing) {
    close();  // there is nothing else to it
  } else if (queue_ == nullptr) {
    end_writing();
  }
}

void StreamTransport::end_writing() noexcept {
  eof_sent_ = true;
  if (const std::int64_t result = backend().shutdown_write(handle); result < 0) {
    lose(failure("write_eof", result));
  }
}

}  // namespace weir::inline WEIR_ABI::detail
