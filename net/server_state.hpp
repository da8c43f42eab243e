// ServerState: the listening sockets and the connections of a Server.
#pragma once

#include "net/net_state.hpp"

#include <weir/context.hpp>
#include <weir/detail/op.hpp>
#include <weir/detail/protocol_factory.hpp>
#include <weir/future.hpp>
#include <weir/net/server.hpp>
#include <weir/net/socket.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

struct ServerState;
struct TlsPlan;

// One listening socket, from the bind on.
struct Listener : AcceptStream {
  Listener(ServerState& owner, weir::Socket&& bound) noexcept;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { stop(); }

  // Listens and accepts. Throws std::system_error.
  void listen();
  void stop() noexcept;
  // The file of a Unix socket, which stop() is to remove.
  void remember_file() noexcept;

 private:
  static void accepted(AcceptStream& stream, native_socket native, const RawAddress& peer) noexcept;
  static void ended(Op& op) noexcept;
  void start();
  void try_again() noexcept;

 public:
  ServerState& server;
  weir::Socket socket;
  TimerHandle retry;  // while accepting pauses
  std::optional<FileIdentity> file;
};

struct ServerState {
  ServerState(EventLoop& owner, AnyProtocolFactory protocol_factory, int queue_length);
  ServerState(const ServerState&) = delete;
  ServerState& operator=(const ServerState&) = delete;
  ~ServerState();

  void start_serving();
  // Stops accepting and closes the listening sockets.
  void close() noexcept;
  // Makes protocol and transport of an accepted connection. Reports what the factory throws.
  void connected(weir::Socket socket, const RawAddress& peer) noexcept;
  // A connection has ended.
  void client_gone() noexcept;
  bool is_over() const noexcept { return closed && clients.empty(); }
  void report(const std::string& message, std::exception_ptr exception) noexcept;
  void loop_closed() noexcept;
  // In a child of fork(): the names and connections are the parent's.
  void leave_to_parent() noexcept;
  // Each as its own close() or abort() does.
  void close_clients() noexcept;
  void abort_clients() noexcept;
  // "<Server sockets=127.0.0.1:80>"
  std::string describe() const;

  EventLoop* loop;
  Server* server = nullptr;
  AnyProtocolFactory factory;
  Context context;
  int backlog;
  std::shared_ptr<const TlsPlan> tls;  // null: none
  bool serving = false;
  bool closed = false;
  bool listed = false;  // by the loop's NetState, as long as that one exists
  std::vector<std::unique_ptr<Listener>> listeners;
  TransportList clients;
  std::vector<Future<void>> waiting_for_end;  // wait_closed()
  std::optional<Future<void>> serving_forever;
  ServerState* previous = nullptr;
  ServerState* next = nullptr;

 private:
  void leave_list() noexcept;
};

}  // namespace weir::inline WEIR_ABI::detail
