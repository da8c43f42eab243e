// The life of a TLS transport: handshake, close notifications, and the end. Data: transport_data.cpp.
#include "net/tls/transport.hpp"

#include "net/extra_info.hpp"
#include "net/os_error.hpp"
#include "net/tls/output.hpp"
#include "net/transport_calls.hpp"
#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>
#include <weir/log.hpp>
#include <weir/net/extra.hpp>

#include <cerrno>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

// More than what a handshake has unsent when it fails.
constexpr std::size_t most_before_alert = std::size_t{8} * 1024;

std::string in_seconds(Duration duration) {
  std::string text = std::to_string(std::chrono::duration<double>(duration).count());
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') {
    text.pop_back();
  }
  return text + " seconds";
}

}  // namespace

// --- TlsBelow

TlsBelow::~TlsBelow() { transport_->let_go(); }
void TlsBelow::connection_made(Ref<Transport> below) { transport_->start(std::move(below)); }
void TlsBelow::data_received(std::span<const std::byte> data) { transport_->feed(data); }
// It is closed by the transport above, which knows what the end means.
bool TlsBelow::eof_received() {
  transport_->below_ended();
  return true;
}
void TlsBelow::pause_writing() { transport_->below_pauses(); }
void TlsBelow::resume_writing() { transport_->below_resumes(); }
void TlsBelow::connection_lost(std::exception_ptr error) { transport_->below_lost(std::move(error)); }

// --- Making

TlsTransport::TlsTransport(EventLoop& loop, Ref<BaseProtocol> protocol, const TlsPlan& plan, Context context,
                           bool upgraded)
    : loop_(&loop),
      protocol_(std::move(protocol)),
      engine_(plan.context, plan.server_side, plan.server_hostname, plan.session.get()),
      context_(std::move(context)),
      handshake_timeout_(plan.handshake_timeout),
      shutdown_timeout_(plan.shutdown_timeout),
      made_(upgraded) {}

TlsTransport::~TlsTransport() { timer_.cancel(); }

Future<void> TlsTransport::handshaken() {
  if (!handshaken_) {
    handshaken_.emplace(*loop_);
  }
  return *handshaken_;
}

void TlsTransport::start(Ref<Transport> below) {
  below_ = std::move(below);
  state_ = State::handshaking;
  const TimePoint limit = std::min(add_clamped(loop_->time(), handshake_timeout_), deadline_);
  timer_ = LoopAccess::call_at_plain(*loop_, limit, Callback([this] { handshake_late(); }));
  go_on();
}

void TlsTransport::handshake_late() noexcept {
  const bool is_deadline = loop_->time() >= deadline_;
  fail(std::make_exception_ptr(TimeoutError(is_deadline ? "TLS handshake: timed out"
                                                        : "SSL handshake is taking longer than " +
                                                              in_seconds(handshake_timeout_) +
                                                              ": aborting the connection")));
}

// What came is worked through as far as the state of the moment needs it.
void TlsTransport::go_on() {
  if (state_ == State::handshaking && !shake_hands()) {
    return;
  }
  if (state_ == State::open) {
    read_all();
  }
  if (state_ == State::closing) {
    discard_all();
  }
}

bool TlsTransport::shake_hands() {
  TlsEngine::Status status{};
  {
    Output output(*this);
    status = engine_.handshake();
    output.flush();
  }
  switch (status) {
    case TlsEngine::Status::wants_input:
      return false;
    case TlsEngine::Status::done:
      if (state_ == State::handshaking) {
        handshake_done();
      }
      return true;
    case TlsEngine::Status::ended:
      below_ended();
      return false;
    case TlsEngine::Status::failed:
      break;
  }
  fail(engine_.take_error());
  return false;
}

void TlsTransport::handshake_done() {
  timer_.cancel();
  state_ = State::open;
  if (!std::exchange(made_, true)) {
    call_connection_made();
  }
  if (handshaken_ && !handshaken_->done()) {
    handshaken_->set_result();
  }
  report_pause();
}

void TlsTransport::call_connection_made() noexcept {
  const Ref<BaseProtocol> protocol = protocol_;
  try {
    detail::call_connection_made(*protocol, Ref<Transport>(this));
  } catch (...) {
    report("protocol.connection_made() failed", std::current_exception());
  }
}

void TlsTransport::set_protocol(Ref<BaseProtocol> protocol) {
  check_new_protocol(protocol);
  if (protocol_ != nullptr) {
    protocol_ = std::move(protocol);
  }
}

void TlsTransport::find_extra_info(std::string_view key, void* value) const {
  const bool is_open = protocol_ != nullptr && state_ != State::idle;
  if (key == extra::sslcontext::name) {
    if (is_open) {
      store_extra(value, engine_.link()->context);
    }
    return;
  }
  if (key != extra::ssl_object::name && key != extra::peercert::name && key != extra::cipher::name &&
      key != extra::compression::name && key != extra::alpn::name) {
    if (below_ != nullptr) {
      static_cast<const BaseTransport&>(*below_).find_extra_info(key, value);
    }
    return;
  }
  if (!is_open) {
    return;
  }
  const SSLObject object(engine_.link());
  if (key == extra::ssl_object::name) {
    store_extra(value, object);
  } else if (key == extra::compression::name) {
    store_extra(value, std::string());
  } else if (key == extra::cipher::name) {
    *static_cast<std::optional<Cipher>*>(value) = object.cipher();
  } else if (key == extra::alpn::name) {
    *static_cast<std::optional<std::string>*>(value) = object.selected_alpn_protocol();
  } else if (object.is_verified()) {
    *static_cast<std::optional<Certificate>*>(value) = object.getpeercert();
  }
}

std::string TlsTransport::describe() const {
  std::string text = "<TLS Transport";
  if (below_ != nullptr) {
    if (const std::optional<Address> peer = below_->get_extra_info<extra::peername>()) {
      text += " peername=" + peer->to_string();
    }
  }
  return text + (is_closing() ? " closing>" : ">");
}

void TlsTransport::report(const char* message, std::exception_ptr exception) noexcept {
  report_failure(*this, protocol_.get(), describe(), message, std::move(exception));
}

void TlsTransport::callback_failed(const char* message) noexcept {
  std::exception_ptr error = std::current_exception();
  report(message, error);
  fail(std::move(error));
}

// --- The other side ends it

// The peer's close notification: nothing more will come. The protocol may still write.
void TlsTransport::peer_closed() {
  const Ref<BaseProtocol> protocol = protocol_;
  try {
    // What it answers has no meaning here, as in asyncio: a TLS connection does not stay half open.
    call_eof_received(*protocol);
  } catch (...) {
    callback_failed("Fatal error: protocol.eof_received() call failed.");
    return;
  }
  if (state_ == State::open) {
    shut_down();
  }
}

// The transport below has come to its end. Without a close notification before, somebody may have cut the
// connection to make us believe that this was all.
void TlsTransport::below_ended() {
  const Ref<TlsTransport> keep(this);
  switch (state_) {
    case State::handshaking:
      fail(std::make_exception_ptr(os_error(-ECONNRESET, "TLS handshake: the peer closed the connection")),
           true);
      break;
    case State::open:
      fail(std::make_exception_ptr(
          std::system_error(make_error_code(TLSErrc::truncated), "EOF occurred in violation of protocol")));
      break;
    case State::closing:
      state_ = State::over;
      below_->close();
      break;
    default:
      break;
  }
}

// --- Ending

void TlsTransport::close() noexcept {
  if (is_closing() || LoopAccess::is_closing(*loop_)) {
    return;
  }
  if (state_ != State::open) {
    abort();
    return;
  }
  shut_down();
}

void TlsTransport::abort() noexcept {
  if (LoopAccess::is_closing(*loop_)) {
    return;
  }
  if (state_ != State::over) {
    state_ = State::over;
    timer_.cancel();
    if (handshaken_ && !handshaken_->done()) {
      handshaken_->cancel();
    }
  }
  if (below_ != nullptr) {
    below_->abort();
  }
}

// Everything that was written is with the transport below already; the close notification follows it.
void TlsTransport::shut_down() noexcept {
  const Ref<TlsTransport> keep(this);
  state_ = State::closing;
  try {
    limit_shutdown();
    Output output(*this);
    const TlsEngine::Status status = engine_.shutdown();
    output.flush();
    if (state_ != State::closing) {
      return;
    }
    flushed_ = below_->get_write_buffer_size() == 0;
    if (status == TlsEngine::Status::ended) {
      state_ = State::over;
      below_->close();
    } else if (status == TlsEngine::Status::failed) {
      end_below(true);
    } else {
      wait_for_peer();
    }
  } catch (...) {
    end_below(true);
  }
}

// For the peer's close notification, whoever paused what: what comes before it is dropped.
void TlsTransport::wait_for_peer() {
  if (!flushed_) {
    below_->set_write_buffer_limits(0, 0);  // to be told when the last byte is gone
  }
  if (std::exchange(reading_paused_, false)) {
    read_held_later();
  }
}

// Closes below. An alert, and the flight it follows, is worth waiting for; what was written is lost anyway.
void TlsTransport::end_below(bool at_once) noexcept {
  state_ = State::over;
  const std::size_t unsent = below_->get_write_buffer_size();
  if (at_once || unsent > most_before_alert) {
    below_->abort();
    return;
  }
  if (unsent != 0) {
    limit_shutdown();
  }
  below_->close();
}

void TlsTransport::limit_shutdown() {
  timer_.cancel();
  const TimePoint limit = add_clamped(loop_->time(), shutdown_timeout_);
  timer_ = LoopAccess::call_at_plain(*loop_, limit, Callback([this] { shutdown_late(); }));
}

void TlsTransport::shutdown_late() noexcept {
  if (!error_) {
    error_ = std::make_exception_ptr(TimeoutError("SSL shutdown timed out"));
  }
  state_ = State::over;
  below_->abort();
}

void TlsTransport::fail(std::exception_ptr error, bool is_gone) noexcept {
  if (state_ == State::over || LoopAccess::is_closing(*loop_)) {
    return;
  }
  const bool was_shaking = state_ == State::handshaking;
  state_ = State::over;
  timer_.cancel();
  error_ = std::move(error);
  // A client that goes away is nobody's failure: port scanners and health checks do.
  if (was_shaking && !handshaken_ && !is_gone) {
    report("SSL handshake failed", error_);
  }
  end_below(false);
}

// The transport below calls this last, in a turn of its own: so is connection_lost.
void TlsTransport::below_lost(std::exception_ptr error) noexcept {
  const Ref<TlsTransport> keep(this);
  timer_.cancel();
  if (!error_ && (state_ <= State::open || !flushed_)) {
    error_ = std::move(error);
  }
  state_ = State::over;
  const Ref<BaseProtocol> protocol = protocol_;
  if (made_ && protocol != nullptr) {
    try {
      protocol->connection_lost(error_);
    } catch (...) {
      report("protocol.connection_lost() failed", std::current_exception());
    }
  }
  if (handshaken_ && !handshaken_->done()) {
    handshaken_->set_exception(error_ ? error_
                                      : std::make_exception_ptr(os_error(
                                            -ECONNABORTED, "TLS handshake: the connection was closed")));
  }
  if (room_ && !room_->done()) {
    room_->set_result();
  }
  let_go();
}

void TlsTransport::let_go() noexcept {
  state_ = State::over;
  timer_.cancel();
  protocol_.reset();
  context_ = Context();
  held_ = {};
  handshaken_.reset();
  room_.reset();
}

}  // namespace weir::inline WEIR_ABI::detail
