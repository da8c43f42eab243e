// Peer: the other end of a connection under test, which does what the test says. It speaks TLS in the runs of
// a suite that hold it against transports of TLS (the variant "-tls").
#pragma once

#include <weir/weir.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weir::testing {

class Peer {
 public:
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  virtual ~Peer() = default;

  virtual Coro<void> send(std::string_view text) = 0;
  // Sends it all in a task of its own; a connection that is gone ends it quietly.
  Task<void> start_sending(std::string text);
  // Exactly so many bytes, or all when the end comes before.
  Coro<std::string> read_exactly(std::size_t size);
  // Until there is no more. The end is answered.
  Coro<std::string> read_all();
  // The same of a connection that may be reset, until then.
  Coro<std::string> read_rest();
  // Says that it sends no more.
  virtual Coro<void> shutdown_write() = 0;
  // The connection ends as it should.
  virtual Coro<void> close() = 0;
  void reset();

  // How many bytes the system gets of so many that are written at once.
  virtual std::size_t on_line(std::size_t size) const = 0;
  virtual Socket& socket() = 0;

 protected:
  explicit Peer(EventLoop& loop) : loop(&loop) {}
  // What comes next; nothing at the end.
  virtual Coro<std::string> receive() = 0;
  virtual Coro<void> answer_end() = 0;

  EventLoop* loop;

 private:
  static Coro<void> send_quietly(Peer& self, std::string text);
  Coro<void> read_to_end(std::string& text);

  std::string rest_;  // received, and not asked for yet
};

std::unique_ptr<Peer> plain_peer(EventLoop& loop, Socket socket);

// Does this run hold the suite against transports of TLS?
bool over_tls() noexcept;
// For the options of servers and clients in a suite that runs over TLS, too: null when this run does not.
const SSLContext* server_ssl();
const SSLContext* client_ssl();
// What a client says next to client_ssl().
inline std::optional<std::string_view> server_name() {
  return over_tls() ? std::optional<std::string_view>("localhost") : std::nullopt;
}

// The far end of a connection whose near end is made with near_end(). In the runs over TLS it is the server,
// and the task is its handshake.
class FarEnd {
 public:
  std::unique_ptr<Peer> peer;
  std::optional<Task<void>> handshake;
};
FarEnd far_end(EventLoop& loop, Socket socket);
ConnectionOptions near_end(Socket& socket);

}  // namespace weir::testing
