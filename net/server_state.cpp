// Listening, accepting, and what becomes of an accepted connection.
#include "net/server_state.hpp"

#include "net/os_error.hpp"
#include "net/socket_access.hpp"
#include "net/stream_transport.hpp"
#include "net/tls/tls.hpp"
#include "net/transport_calls.hpp"
#include "runtime/loop_access.hpp"

#include <weir/log.hpp>

#include <cerrno>
#include <chrono>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

// How long accepting pauses when the system has no descriptor left. asyncio's time.
constexpr auto pause_of_accepting = std::chrono::seconds(1);

bool is_shortage(std::int64_t error) noexcept {
  return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

// Another server may have replaced it meanwhile.
void remove_own_file(const weir::Socket& socket, const FileIdentity& own) noexcept {
  RawAddress address;
  FileIdentity found;
  if (Backend::Sockets::local_address(socket.native_handle(), address) == 0 &&
      Backend::Sockets::socket_file(address, found) == 0 && found == own) {
    Backend::Sockets::remove_file(address);
  }
}

}  // namespace

// --- Listener

Listener::Listener(ServerState& owner, weir::Socket&& bound) noexcept
    : server(owner), socket(std::move(bound)) {
  on_accept = &accepted;
  on_done = &ended;
}

void Listener::listen() {
  socket.listen(server.backlog);
  start();
}

void Listener::start() {
  handle = SocketAccess::take_over(socket, *server.loop, "create_server");
  if (LoopAccess::backend(*server.loop).start(static_cast<AcceptStream&>(*this)) == Started::done) {
    throw os_error(result, "accept");
  }
}

void Listener::stop() noexcept {
  retry.cancel();
  if (state != OpState::idle) {
    LoopAccess::backend(*server.loop).stop(static_cast<AcceptStream&>(*this));
  }
  if (file && !LoopAccess::is_inherited(*server.loop)) {
    remove_own_file(socket, *file);
  }
  socket.close();
}

void Listener::remember_file() noexcept {
  RawAddress address;
  FileIdentity found;
  if (Backend::Sockets::local_address(socket.native_handle(), address) == 0 && address.is_file() &&
      Backend::Sockets::socket_file(address, found) == 0) {
    file = found;
  }
}

// The server is held: the factory or the protocol may drop the last reference to it.
void Listener::accepted(AcceptStream& stream, native_socket native, const RawAddress& peer) noexcept {
  ServerState& server = static_cast<Listener&>(stream).server;
  const Ref<Server> keep(server.server);
  server.connected(SocketAccess::own(native), peer);
}

void Listener::ended(Op& op) noexcept {
  auto& self = static_cast<Listener&>(static_cast<AcceptStream&>(op));
  const Ref<Server> keep(self.server.server);
  self.retry = LoopAccess::call_at_plain(*self.server.loop, self.server.loop->time() + pause_of_accepting,
                                         Callback([&self] { self.try_again(); }));
  // The report comes last: its handler may close the server.
  const std::exception_ptr error = std::make_exception_ptr(os_error(self.result, "accept"));
  self.server.report(
      is_shortage(self.result) ? "socket.accept() out of system resource" : "socket.accept() failed", error);
}

void Listener::try_again() noexcept {
  try {
    start();
  } catch (...) {
    const Ref<Server> keep(server.server);
    retry = LoopAccess::call_at_plain(*server.loop, server.loop->time() + pause_of_accepting,
                                      Callback([this] { try_again(); }));
    server.report("socket.accept() failed", std::current_exception());
  }
}

// --- ServerState

ServerState::ServerState(EventLoop& owner, AnyProtocolFactory protocol_factory, int queue_length)
    : loop(&owner), factory(std::move(protocol_factory)), context(copy_context()), backlog(queue_length) {
  NetState& net = NetState::of(owner);
  next = net.first_server;
  if (next != nullptr) {
    next->previous = this;
  }
  net.first_server = this;
  listed = true;
}

ServerState::~ServerState() {
  if (serving && !closed && !LoopAccess::is_inherited(*loop)) {
    log(LogLevel::warning, "unclosed server " + describe() + ": the last reference to it was dropped");
  }
  close();
  while (!clients.empty()) {
    clients.front()->leave_server();
  }
  leave_list();
}

void ServerState::leave_list() noexcept {
  if (!std::exchange(listed, false)) {
    return;
  }
  (previous != nullptr ? previous->next : LoopAccess::net(*loop)->first_server) = next;
  if (next != nullptr) {
    next->previous = previous;
  }
}

void ServerState::start_serving() {
  if (closed) {
    throw RuntimeError("start_serving: " + describe() + " is closed");
  }
  if (serving) {
    return;
  }
  try {
    for (const auto& listener : listeners) {
      listener->listen();
    }
  } catch (...) {
    close();
    throw;
  }
  serving = true;
}

void ServerState::close() noexcept {
  if (std::exchange(closed, true)) {
    return;
  }
  serving = false;
  listeners.clear();
  if (serving_forever) {
    serving_forever->cancel();
  }
  client_gone();
}

void ServerState::client_gone() noexcept {
  if (!is_over()) {
    return;
  }
  const std::vector<Future<void>> waiters = std::exchange(waiting_for_end, {});
  for (const Future<void>& waiter : waiters) {
    if (!waiter.done()) {
      waiter.set_result();
    }
  }
}

void ServerState::connected(weir::Socket socket, const RawAddress& peer) noexcept {
  Context own = context.copy();
  Ref<StreamTransport> transport;
  try {
    Ref<BaseProtocol> protocol;
    {
      const ContextScope scope(own);
      protocol = factory();
    }
    if (tls != nullptr) {
      check_made(protocol);
      protocol = encrypt(*loop, std::move(protocol), *tls, own, {});
    }
    // The factory may have closed the server; the connection is there all the same.
    transport = StreamTransport::make(*loop, socket, std::move(protocol), peer, std::move(own), this);
  } catch (...) {
    report("Error on transport creation for incoming connection from " + Address(peer).to_string(),
           std::current_exception());
    return;
  }
  transport->begin();
}

void ServerState::report(const std::string& message, std::exception_ptr exception) noexcept {
  ExceptionContext context_of_error;
  context_of_error.message = message;
  context_of_error.exception = std::move(exception);
  context_of_error.object = describe();
  loop->call_exception_handler(context_of_error);
}

void ServerState::loop_closed() noexcept {
  leave_list();
  if (serving && !closed) {
    log(LogLevel::warning, "unclosed server " + describe() + ": its loop was closed");
  }
  const Ref<Server> keep(server);
  closed = true;
  serving = false;
  listeners.clear();
  while (!clients.empty()) {
    clients.front()->loop_closed();
  }
  factory.reset();
  context = Context();
  waiting_for_end.clear();
  serving_forever.reset();
}

void ServerState::leave_to_parent() noexcept {
  leave_list();
  closed = true;
  serving = false;
  for (const auto& listener : listeners) {
    listener->file.reset();
  }
  while (!clients.empty()) {
    clients.front()->leave_to_parent();
  }
}

// Neither calls anybody.
void ServerState::close_clients() noexcept {
  for (StreamTransport* client = clients.front(); client != nullptr; client = TransportList::after(*client)) {
    const Ref<BaseProtocol> protocol = client->get_protocol();
    if (protocol == nullptr || !close_encrypted(*protocol)) {
      client->close();
    }
  }
}

void ServerState::abort_clients() noexcept {
  for (StreamTransport* client = clients.front(); client != nullptr; client = TransportList::after(*client)) {
    client->abort();
  }
}

std::string ServerState::describe() const {
  std::string text = "<Server";
  const char* separator = " sockets=";
  for (const auto& listener : listeners) {
    RawAddress address;
    if (Backend::Sockets::local_address(listener->socket.native_handle(), address) >= 0) {
      text += std::exchange(separator, ",") + Address(address).to_string();
    }
  }
  return text + '>';
}

}  // namespace weir::inline WEIR_ABI::detail
