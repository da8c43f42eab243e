// What passes through a TLS transport, and its flow control. What was written is encrypted at once and waits,
// if it has to, in the transport below; what came is decrypted at once unless reading is paused.
#include "net/tls/output.hpp"
#include "net/tls/transport.hpp"
#include "net/transport_calls.hpp"
#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>
#include <weir/log.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

// How much is encrypted before it is handed on: four full records.
constexpr std::size_t most_encrypted_at_once = std::size_t{64} * 1024;
// After close() so much more is taken from a peer that goes on sending.
constexpr std::size_t most_discarded = DecryptedBlock::size;

}  // namespace

// --- Reading

void TlsTransport::feed(std::span<const std::byte> data) {
  const Ref<TlsTransport> keep(this);
  assert(held_.empty());  // the transport below is paused as long as something is held
  engine_.feed(data);
  go_on();
  hold_unread();
}

void TlsTransport::hold_unread() {
  const std::span<const std::byte> rest = engine_.unread();
  if (!rest.empty() && state_ != State::over) {
    held_.assign(rest.begin(), rest.end());
  }
  engine_.feed({});
}

void TlsTransport::read_all() {
  while (state_ == State::open && !reading_paused_ && read_some()) {
  }
}

// Fills the memory as far as there is input; `status` is what ended that.
std::size_t TlsTransport::decrypt(std::span<std::byte> into, TlsEngine::Status& status) noexcept {
  std::size_t filled = 0;
  status = TlsEngine::Status::wants_input;
  while (filled != into.size() && engine_.has_pending()) {
    std::size_t count = 0;
    status = engine_.read(into.subspan(filled), count);
    if (status != TlsEngine::Status::done) {
      return filled;
    }
    filled += count;
  }
  if (filled != into.size()) {
    status = TlsEngine::Status::wants_input;
  }
  return filled;
}

// One piece for the protocol; true when there may be another.
bool TlsTransport::read_some() {
  const Ref<BaseProtocol> protocol = protocol_;
  TlsEngine::Status status{};
  if (protocol->kind() == ProtocolKind::buffered) {
    if (!engine_.has_pending()) {
      return false;
    }
    const std::span<std::byte> buffer = lend_buffer(protocol);
    if (buffer.empty()) {
      return true;  // if it has set another protocol, that one is asked
    }
    const std::size_t count = decrypt_and_answer(buffer, status);
    if (count != 0 && !filled(protocol, count)) {
      return false;
    }
  } else {
    DecryptedBlock block(*loop_);
    const std::size_t count = decrypt_and_answer(block.span(), status);
    if (count != 0 && !deliver(protocol, block.span().first(count))) {
      return false;
    }
  }
  if (status == TlsEngine::Status::failed) {
    fail(engine_.take_error());
  } else if (status == TlsEngine::Status::ended && state_ == State::open && !reading_paused_) {
    peer_closed();
  }
  return status == TlsEngine::Status::done;
}

// Some of what is read wants an answer: a key update.
std::size_t TlsTransport::decrypt_and_answer(std::span<std::byte> into, TlsEngine::Status& status) {
  Output output(*this);
  const std::size_t count = decrypt(into, status);
  output.flush();
  return count;
}

bool TlsTransport::deliver(const Ref<BaseProtocol>& protocol, std::span<const std::byte> data) noexcept {
  try {
    static_cast<Protocol&>(*protocol).data_received(data);
  } catch (...) {
    callback_failed("Fatal error: protocol.data_received() call failed.");
    return false;
  }
  return true;
}

// Nothing when the protocol has paused, closed, or set another one meanwhile.
std::span<std::byte> TlsTransport::lend_buffer(const Ref<BaseProtocol>& protocol) noexcept {
  std::span<std::byte> buffer;
  try {
    buffer = static_cast<BufferedProtocol&>(*protocol).get_buffer(DecryptedBlock::size);
    if (buffer.empty()) {
      throw RuntimeError("get_buffer() returned an empty buffer");
    }
  } catch (...) {
    callback_failed("Fatal error: protocol.get_buffer() call failed.");
  }
  return state_ != State::open || reading_paused_ || protocol_ != protocol ? std::span<std::byte>() : buffer;
}

bool TlsTransport::filled(const Ref<BaseProtocol>& protocol, std::size_t count) noexcept {
  try {
    static_cast<BufferedProtocol&>(*protocol).buffer_updated(count);
  } catch (...) {
    callback_failed("Fatal error: protocol.buffer_updated() call failed.");
    return false;
  }
  return true;
}

// After close(): until the peer's close notification, or its patience is ours no longer.
void TlsTransport::discard_all() {
  DecryptedBlock block(*loop_);
  TlsEngine::Status status = TlsEngine::Status::done;
  while (status == TlsEngine::Status::done && discarded_ <= most_discarded) {
    Output output(*this);
    discarded_ += decrypt(block.span(), status);
  }
  if (status == TlsEngine::Status::ended) {
    state_ = State::over;
    below_->close();
  } else if (status == TlsEngine::Status::failed || discarded_ > most_discarded) {
    end_below(status != TlsEngine::Status::failed);
  }
}

void TlsTransport::pause_reading() {
  if (is_closing() || reading_paused_) {
    return;
  }
  reading_paused_ = true;
  below_->pause_reading();
}

void TlsTransport::resume_reading() {
  if (is_closing() || !reading_paused_) {
    return;
  }
  reading_paused_ = false;
  read_held_later();
}

// The transport below is resumed once what it has brought already is handed over.
void TlsTransport::read_held_later() {
  if (!held_is_coming_) {
    held_is_coming_ = true;
    add_ref();
    LoopAccess::ready(*loop_).push(&run_held, this);
  }
}

void TlsTransport::run_held(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
  const auto self = Ref<TlsTransport>::adopt(static_cast<TlsTransport*>(object));
  self->held_is_coming_ = false;
  if (action != ReadyAction::run || self->state_ == State::over || self->reading_paused_) {
    return;
  }
  const ContextScope scope(self->context_);
  const std::vector<std::byte> held = std::exchange(self->held_, {});
  self->engine_.feed(held);
  self->go_on();
  self->hold_unread();
  if (self->state_ == State::over || self->reading_paused_) {
    return;
  }
  self->below_->resume_reading();
}

// --- Writing

bool TlsTransport::may_write(const char* call, std::size_t size) {
  if (sending_file_) {
    throw RuntimeError(std::string(call) + ": unable to write; sendfile is in progress");
  }
  if (size == 0) {
    return false;
  }
  if (state_ != State::open) {
    if (ignored_writes_.is_one_too_many()) {
      log(LogLevel::warning,
          std::string(call) + "() on " + describe() + " does nothing: the connection is gone");
    }
    return false;
  }
  return true;
}

void TlsTransport::write(std::span<const std::byte> data) {
  if (may_write("write", data.size())) {
    encrypt(data);
  }
}

// In one record where they fit.
void TlsTransport::writelines(std::span<const std::span<const std::byte>> pieces) {
  std::size_t size = 0;
  for (const std::span<const std::byte> piece : pieces) {
    size += piece.size();
  }
  if (!may_write("writelines", size)) {
    return;
  }
  std::vector<std::byte> joined;
  joined.reserve(size);
  for (const std::span<const std::byte> piece : pieces) {
    joined.insert(joined.end(), piece.begin(), piece.end());
  }
  encrypt(joined);
}

void TlsTransport::encrypt(std::span<const std::byte> data) {
  const Ref<TlsTransport> keep(this);
  encrypting_ = true;
  while (!data.empty() && state_ == State::open) {
    const std::span<const std::byte> part = data.first(std::min(data.size(), most_encrypted_at_once));
    data = data.subspan(part.size());
    Output output(*this);
    const TlsEngine::Status status = engine_.write(part);
    output.flush();
    if (status != TlsEngine::Status::done) {
      fail(engine_.take_error());
    } else if (below_->is_closing()) {
      lost_below();
    }
  }
  encrypting_ = false;
  report_pause();
}

// The transport below has found out that the connection is lost. It says so in a later turn, with the reason;
// a writer that never yields is not to write on until then.
void TlsTransport::lost_below() noexcept {
  if (state_ == State::open) {
    state_ = State::over;
    flushed_ = false;
  }
}

// --- Flow control: that of the transport below, whose bytes are the encrypted ones

std::size_t TlsTransport::get_write_buffer_size() const noexcept {
  return below_ != nullptr && state_ != State::over ? below_->get_write_buffer_size() : 0;
}

WriteBufferLimits TlsTransport::get_write_buffer_limits() const noexcept {
  return below_ != nullptr ? below_->get_write_buffer_limits() : default_write_limits;
}

void TlsTransport::set_write_buffer_limits(std::optional<std::ptrdiff_t> high,
                                           std::optional<std::ptrdiff_t> low) {
  if (!is_closing() && below_ != nullptr) {
    below_->set_write_buffer_limits(high, low);
  } else {
    checked_write_limits(high, low);
  }
}

void TlsTransport::below_pauses() {
  below_paused_ = true;
  report_pause();
}

void TlsTransport::report_pause() noexcept {
  if (!below_paused_ || encrypting_ || writing_paused_ || !made_ || state_ != State::open) {
    return;
  }
  writing_paused_ = true;
  call_flow_control(protocol_, context_, &BaseProtocol::pause_writing, [this](std::exception_ptr error) {
    report("protocol.pause_writing() failed", std::move(error));
  });
}

// A pause that was not told here was told before the upgrade, to the same protocol.
void TlsTransport::below_resumes() {
  const Ref<TlsTransport> keep(this);
  flushed_ = true;
  const bool was_told = !std::exchange(below_paused_, false) || std::exchange(writing_paused_, false);
  if (room_ && !room_->done()) {
    room_->set_result();
  }
  if (was_told && made_ && protocol_ != nullptr) {
    call_flow_control(protocol_, context_, &BaseProtocol::resume_writing, [this](std::exception_ptr error) {
      report("protocol.resume_writing() failed", std::move(error));
    });
  }
}

// --- Sending files

void TlsTransport::check_file() const {
  if (state_ != State::open) {
    throw RuntimeError("sendfile: the transport is closing");
  }
  if (sending_file_) {
    throw RuntimeError("sendfile: unable to write; sendfile is in progress");
  }
}

void TlsTransport::begin_file() {
  check_file();
  sending_file_ = true;
}

void TlsTransport::write_file(std::span<const std::byte> data) { encrypt(data); }

std::optional<Future<void>> TlsTransport::room() {
  if (!below_paused_ || state_ == State::over) {
    return {};
  }
  room_.emplace(*loop_);
  return room_;
}

}  // namespace weir::inline WEIR_ABI::detail
