// A fuzzer for the engine of TLS, as libFuzzer knows one. An honest peer talks to the engine over a line that
// does what the input says: delivers, cuts, changes, repeats or makes up bytes. Whatever comes, the engine
// ends in one of its states, and gives only what the peer has written, in order.
#include "net/tls/engine.hpp"
#include "tests/support/fuzz.hpp"
#include "tools/weir/certificates.hpp"

#include <weir/net/ssl.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string_view>

using namespace weir;
using Engine = detail::TlsEngine;
using Status = Engine::Status;

namespace {

void require(bool condition, const char* what) {
  if (!condition) {
    std::fprintf(stderr, "tls_engine_fuzz: %s\n", what);
    std::abort();
  }
}

struct Settings {
  Settings() {
    program::CertificateRequest request;
    request.common_name = "fuzz";
    request.names = {"localhost"};
    const program::Identity own = program::make_certificate(request, nullptr);
    server.load_cert_chain({.certdata = own.certificate, .keydata = own.key});
    client.load_verify_locations({.cadata = own.certificate});
    old_server.load_cert_chain({.certdata = own.certificate, .keydata = own.key});
    old_server.set_maximum_version(TLSVersion::tls1_2);
  }
  SSLContext server{SSLProtocol::tls_server};
  SSLContext old_server{SSLProtocol::tls_server};
  SSLContext client{SSLProtocol::tls_client};
};

// One end: what it was fed is its own, and so is what it wants to send.
class End {
 public:
  End(const SSLContext& context, bool server_side)
      : engine_(context, server_side, server_side ? "" : "localhost", nullptr) {
    engine_.set_output(&output);
  }

  void feed(std::vector<std::byte> bytes) {
    const auto unread = engine_.unread();
    bytes.insert(bytes.begin(), unread.begin(), unread.end());
    input_ = std::move(bytes);
    engine_.feed(input_);
    work();
  }
  void work() {
    while (!is_over_ && step()) {
    }
  }
  void write(std::string_view text) {
    if (is_open_ && !is_over_ && !is_shut_) {
      note(engine_.write({reinterpret_cast<const std::byte*>(text.data()), text.size()}));
      written += text;
    }
  }
  void shut_down() {
    if (is_open_ && !is_over_ && !std::exchange(is_shut_, true)) {
      note(engine_.shutdown());
    }
  }

  std::vector<std::byte> output;
  std::string received;
  std::string written;

 private:
  bool step() {
    if (!is_open_) {
      const Status status = engine_.handshake();
      is_open_ = status == Status::done;
      return note(status);
    }
    if (!engine_.has_pending()) {
      return false;
    }
    std::vector<std::byte> into(1 + received.size() % 70);
    std::size_t count = 0;
    const Status status = engine_.read(into, count);
    require((status == Status::done) == (count != 0), "bytes without success, or the other way round");
    received.append(reinterpret_cast<const char*>(into.data()), count);
    return note(status);
  }
  bool note(Status status) {
    if (status == Status::failed) {
      require(engine_.take_error() != nullptr, "failed for no reason");
    }
    is_over_ = is_over_ || status == Status::failed || status == Status::ended;
    return status == Status::done;
  }

  Engine engine_;
  std::vector<std::byte> input_;
  bool is_open_ = false;
  bool is_shut_ = false;
  bool is_over_ = false;
};

// Reads the input piece by piece; zeros behind its end.
class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool at_end() const { return at_ >= size_; }
  std::size_t next() { return at_ < size_ ? data_[at_++] : 0; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

// What the line does with the bytes of one end, on their way to the other.
std::vector<std::byte> tamper(std::vector<std::byte> bytes, Script& script) {
  const std::size_t at = bytes.empty() ? 0 : (script.next() * 256 + script.next()) % bytes.size();
  const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  switch (script.next() % 5) {
    case 0:
      if (!bytes.empty()) {
        *place ^= static_cast<std::byte>(script.next() | 1);
      }
      break;
    case 1:
      bytes.erase(place, bytes.end());
      break;
    case 2:
      bytes.insert(bytes.end(), bytes.begin(), place);
      break;
    case 3:
      bytes.insert(place, script.next() % 64, static_cast<std::byte>(script.next()));
      break;
    default:
      bytes.erase(bytes.begin(), place);
  }
  return bytes;
}

std::vector<std::byte> take(End& from, std::size_t most) {
  const std::size_t count = std::min(most, from.output.size());
  std::vector<std::byte> taken(from.output.begin(), from.output.begin() + static_cast<std::ptrdiff_t>(count));
  from.output.erase(from.output.begin(), from.output.begin() + static_cast<std::ptrdiff_t>(count));
  return taken;
}

void perform(Script& script, End& one, End& other) {
  const std::size_t what = script.next();
  End& from = what % 2 == 0 ? one : other;
  End& to = what % 2 == 0 ? other : one;
  switch (what / 2 % 6) {
    case 0:
    case 1:
      to.feed(take(from, SIZE_MAX));
      break;
    case 2:
      to.feed(take(from, 1 + script.next()));
      break;
    case 3:
      to.feed(tamper(take(from, SIZE_MAX), script));
      break;
    case 4:
      from.write(std::string(1 + script.next() * 100, static_cast<char>('a' + script.next() % 26)));
      break;
    default:
      from.shut_down();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Settings settings;
  Script script(data, size);
  End client(settings.client, false);
  End server(script.next() % 2 == 0 ? settings.server : settings.old_server, true);
  client.work();
  server.work();
  while (!script.at_end()) {
    perform(script, client, server);
  }
  require(server.written.starts_with(client.received), "the client got what nobody wrote");
  require(client.written.starts_with(server.received), "the server got what nobody wrote");
  return 0;
}

// The first byte is the version; then each: to and fro until both are open, some words, the end.
std::vector<std::string> fuzz_seeds() {
  using namespace std::string_literals;
  const std::string opened = "\0\1\0\1\0\1"s;
  return {"\0"s + opened + "\x08\5a\0\x09\7b\1\x0a\0\x0b\1"s,
          "\1"s + opened + "\x08\5a\0\x09\7b\1\x0a\0\x0b\1"s,
          "\0"s + opened,
          "\1"s + opened,
          "\0\6\0\20\0\1"s,
          "\0"s + opened + "\x08\5a\6\0\3\0\1"s};
}

std::vector<std::string> fuzz_pieces() {
  using namespace std::string_literals;
  return {"\0"s,   "\1"s,     "\0\1"s,   "\6\0\7\0\x80"s, "\7\0\7\0\x80"s, "\4\1"s,
          "\5\1"s, "\x08\2"s, "\x09\2"s, "\x0a"s,         "\x0b"s};
}
