// TlsEngine: one side of a TLS connection as a state machine over memory. It does no input or output: what
// came is fed in, what is to be sent comes out, and everything else is somebody else's.
#pragma once

#include "net/tls/context.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class TlsEngine {
 public:
  enum class Status : std::uint8_t {
    done,         // what was asked for happened
    wants_input,  // nothing more can happen before more is fed
    ended,        // the peer's close notification has come
    failed,       // see error(); an alert for the peer may be in the output
  };

  // `server_hostname` is asked for and verified, as the context says; empty: neither. `session` may be null.
  // Throws std::bad_alloc, and std::invalid_argument for a name that cannot be one.
  TlsEngine(const SSLContext& context, bool server_side, const std::string& server_hostname,
            const TlsTicket* session);
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;
  ~TlsEngine();

  // What came from the peer, to be read by the calls below. It must stay until it is taken or replaced.
  void feed(std::span<const std::byte> input) noexcept { input_ = input; }
  // What of it was not needed yet.
  std::span<const std::byte> unread() const noexcept { return input_; }
  // Where the calls below append what is to be sent; null: nowhere, and then none may be made. Gives the one
  // before.
  std::vector<std::byte>* set_output(std::vector<std::byte>* output) noexcept {
    return std::exchange(output_, output);
  }

  // Goes on with the handshake; `done` once it is complete.
  Status handshake() noexcept;
  // Decrypts into `into`, which is not empty; `count` says how much. `done` with at least one byte.
  Status read(std::span<std::byte> into, std::size_t& count) noexcept;
  // Has read() anything to work on: input, a record that was not taken whole, or the end?
  bool has_pending() const noexcept;
  // Encrypts all of it. Only after the handshake and before shutdown().
  Status write(std::span<const std::byte> data) noexcept;
  // The close notification. `ended` when the peer's has come already, else `done`. Once.
  Status shutdown() noexcept;

  // Why it failed, until it is taken: a std::system_error, or what the user's callback threw.
  std::exception_ptr take_error() noexcept { return std::exchange(error_, nullptr); }
  const std::shared_ptr<TlsLink>& link() const noexcept { return link_; }

 private:
  static int bio_read(BIO* bio, char* into, int size) noexcept;
  static int bio_write(BIO* bio, const char* data, int size) noexcept;
  static long bio_control(BIO* bio, int command, long, void*) noexcept;
  static const BIO_METHOD* bio_method();

  void name_peer(const std::string& server_hostname);
  Status outcome(int result, const std::string& what) noexcept;

  std::shared_ptr<TlsLink> link_;
  std::span<const std::byte> input_;
  std::vector<std::byte>* output_ = nullptr;
  std::exception_ptr error_;
};

// The name as it is asked for and verified: without a dot at its end, or an IPv6 scope. Throws
// std::invalid_argument for what cannot be one, NotSupportedError for a name that is not ASCII.
std::string checked_server_hostname(std::string_view name, const char* call);

}  // namespace weir::inline WEIR_ABI::detail
