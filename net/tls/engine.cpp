// TlsEngine on OpenSSL, which reads and writes through a BIO of ours: spans of the caller's memory, so that a
// byte is copied once between there and OpenSSL's records.
#include "net/tls/engine.hpp"

#include "backends/host.hpp"
#include "net/tls/errors.hpp"

#include <weir/exceptions.hpp>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

bool is_address(const std::string& name) { return address_from_text(name).has_value(); }

// SSL_get_error takes any error in the thread's queue for the connection's. Emptying an empty queue costs
// four times what a look at it does: 840 instructions.
void forget_errors() noexcept {
  if (ERR_peek_error() != 0) {
    ERR_clear_error();
  }
}

}  // namespace

std::string checked_server_hostname(std::string_view name, const char* call) {
  const auto refuse = [&](const char* why) {
    throw std::invalid_argument(std::string(call) + ": server_hostname " + why);
  };
  if (name.find('\0') != std::string_view::npos) {
    refuse("has a NUL inside");
  }
  if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
    throw NotSupportedError(std::string(call) + ": a server_hostname that is not ASCII (give its xn-- form)");
  }
  std::string checked(name.substr(0, name.find('%')));
  if (!checked.empty() && checked.back() == '.') {
    checked.pop_back();
  }
  if (checked.empty() || checked.front() == '.' || checked.size() > 253) {
    refuse("cannot be empty, start with a leading dot or be longer than a name");
  }
  return checked;
}

// --- The BIO

int TlsEngine::bio_read(BIO* bio, char* into, int size) noexcept {
  auto& self = *static_cast<TlsEngine*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (self.input_.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t count = std::min(self.input_.size(), static_cast<std::size_t>(size));
  std::memcpy(into, self.input_.data(), count);
  self.input_ = self.input_.subspan(count);
  return static_cast<int>(count);
}

int TlsEngine::bio_write(BIO* bio, const char* data, int size) noexcept {
  auto& self = *static_cast<TlsEngine*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  try {
    const auto* const begin = reinterpret_cast<const std::byte*>(data);
    self.output_->insert(self.output_->end(), begin, begin + size);
  } catch (...) {
    self.error_ = std::current_exception();
    return -1;
  }
  return size;
}

long TlsEngine::bio_control(BIO*, int command, long, void*) noexcept {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* TlsEngine::bio_method() {
  static const std::unique_ptr<BIO_METHOD, Freed<&BIO_meth_free>> method = [] {
    std::unique_ptr<BIO_METHOD, Freed<&BIO_meth_free>> made(
        checked(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir spans")));
    BIO_meth_set_read(made.get(), &bio_read);
    BIO_meth_set_write(made.get(), &bio_write);
    BIO_meth_set_ctrl(made.get(), &bio_control);
    return made;
  }();
  return method.get();
}

// --- Making

TlsEngine::TlsEngine(const SSLContext& context, bool server_side, const std::string& server_hostname,
                     const TlsTicket* session)
    : link_(TlsContext::open(context)) {
  SSL* const ssl = link_->ssl.get();
  BIO* const bio = checked(BIO_new(bio_method()));
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  link_->server_side = server_side;
  if (server_side) {
    SSL_set_accept_state(ssl);
    return;
  }
  SSL_set_connect_state(ssl);
  if (!server_hostname.empty()) {
    name_peer(server_hostname);
  }
  if (session != nullptr) {
    SSL_set_session(ssl, session->session.get());
  }
}

// The link may live on in the hands of users: it must not find its way back.
TlsEngine::~TlsEngine() { SSL_set_bio(link_->ssl.get(), nullptr, nullptr); }

void TlsEngine::name_peer(const std::string& server_hostname) {
  SSL* const ssl = link_->ssl.get();
  const bool checks = link_->context.check_hostname();
  link_->server_hostname = server_hostname;
  bool accepted = true;
  if (is_address(server_hostname)) {
    accepted = !checks || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_hostname.c_str()) == 1;
  } else {
    accepted = SSL_set_tlsext_host_name(ssl, server_hostname.c_str()) == 1 &&
               (!checks || SSL_set1_host(ssl, server_hostname.c_str()) == 1);
  }
  if (!accepted) {
    throw openssl_error("server_hostname " + server_hostname);
  }
}

// --- Working

// What came of a call that did not succeed.
TlsEngine::Status TlsEngine::outcome(int result, const std::string& what) noexcept {
  SSL* const ssl = link_->ssl.get();
  switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
      return Status::wants_input;
    case SSL_ERROR_ZERO_RETURN:
      return Status::ended;
    default:
      break;
  }
  if (link_->refusal) {
    error_ = std::exchange(link_->refusal, nullptr);
  } else if (!error_) {
    error_ = std::make_exception_ptr(connection_error(ssl, what));
  }
  ERR_clear_error();
  return Status::failed;
}

TlsEngine::Status TlsEngine::handshake() noexcept {
  forget_errors();
  const int result = SSL_do_handshake(link_->ssl.get());
  if (result == 1) {
    return Status::done;
  }
  const std::string& name = link_->server_hostname;
  return outcome(result, name.empty() ? "TLS handshake" : "TLS handshake with " + name);
}

TlsEngine::Status TlsEngine::read(std::span<std::byte> into, std::size_t& count) noexcept {
  forget_errors();
  const int result = SSL_read_ex(link_->ssl.get(), into.data(), into.size(), &count);
  if (result == 1) {
    return Status::done;
  }
  count = 0;
  return outcome(result, "TLS read");
}

bool TlsEngine::has_pending() const noexcept {
  const SSL* const ssl = link_->ssl.get();
  return !input_.empty() || SSL_pending(ssl) != 0 || (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

TlsEngine::Status TlsEngine::write(std::span<const std::byte> data) noexcept {
  if (data.empty()) {
    return Status::done;
  }
  forget_errors();
  std::size_t written = 0;
  const int result = SSL_write_ex(link_->ssl.get(), data.data(), data.size(), &written);
  return result == 1 ? Status::done : outcome(result, "TLS write");
}

TlsEngine::Status TlsEngine::shutdown() noexcept {
  forget_errors();
  const int result = SSL_shutdown(link_->ssl.get());
  if (result < 0) {
    const Status status = outcome(result, "TLS shutdown");
    return status == Status::wants_input ? Status::done : status;
  }
  return result == 1 ? Status::ended : Status::done;
}

}  // namespace weir::inline WEIR_ABI::detail
