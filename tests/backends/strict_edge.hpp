// A strict edge-triggered poller on the simulator's network, under the operation layer of the readiness
// backends: it reports each change once, late and in an order by the seed, and never again. The simulator
// itself looks again in every turn, and could not show bookkeeping that loses an edge.
#pragma once

#include "tests/backends/strict_datagrams.hpp"
#include "tests/backends/whole_layer.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace strict {

using namespace weir::detail;
using weir::native_socket;
using weir::PeerCredentials;

// What the poller knows of one descriptor. The network tells a handle, which here is only a name for this.
struct Registration {
  BackendHandle key;
  std::uint64_t socket_id = 0;
  std::uint64_t token = 0;
  Interest interest = no_interest;
  Readiness news = 0;  // not reported yet
  bool was_writable = false;
};

// By descriptor. One poller at a time.
inline std::map<native_socket, std::unique_ptr<Registration>> registrations;

inline Readiness state_of(const Socket& socket) {
  const Network& network = world().network;
  Readiness state = 0;
  state |= network.is_readable(socket) ? is_readable : Readiness{0};
  state |= network.is_writable(socket) ? is_writable : Readiness{0};
  const bool hung_up = socket.type == weir::SocketType::stream &&
                       (socket.state == SocketState::reset || socket.state == SocketState::fresh);
  state |= socket.ended || socket.read_shut || socket.error != 0 || hung_up ? is_ended : Readiness{0};
  return state;
}

// As sockets of Linux tell epoll, but for writing: only a socket that could not be written to before.
inline void note(Registration& registration) {
  const Socket* socket = world().network.by_id(registration.socket_id);
  if (socket == nullptr) {
    return;
  }
  const Readiness state = state_of(*socket);
  registration.news |= state & (is_readable | is_ended);
  const bool writable = (state & is_writable) != 0;
  if (writable && (!registration.was_writable || (state & is_ended) != 0)) {
    registration.news |= is_writable;
  }
  registration.was_writable = writable;
}

struct Sockets : NoSendFile {
  using DatagramBatch = strict::DatagramBatch;
  static std::int64_t join_group(native_socket native, const RawAddress& group, std::uint32_t) noexcept {
    return with(native,
                [&](Network& network, auto& socket) { return network.change_group(socket, group, true); });
  }
  static std::int64_t leave_group(native_socket native, const RawAddress& group, std::uint32_t) noexcept {
    return with(native,
                [&](Network& network, auto& socket) { return network.change_group(socket, group, false); });
  }
  static std::int64_t receive_from(native_socket native, std::span<std::byte> into,
                                   RawAddress& from) noexcept {
    return with(native,
                [&](Network& network, auto& socket) { return network.receive_from(socket, into, from); });
  }
  static std::int64_t send_datagrams(native_socket native, std::span<const Datagram> datagrams,
                                     bool) noexcept {
    return with(native, [&](Network& network, auto& socket) {
      std::int64_t sent = 0;
      std::int64_t result = 1;
      for (std::size_t i = 0; result > 0 && i != datagrams.size(); ++i) {
        result = network.send_to(socket, datagrams[i]);
        sent += result > 0 ? 1 : 0;
      }
      if (const auto found = registrations.find(native); found != registrations.end()) {
        found->second->was_writable = result != -EAGAIN;
      }
      return sent != 0 ? sent : result;
    });
  }
  static bool join_datagrams(native_socket) noexcept { return false; }
  static bool concerns_peer(std::int64_t error) noexcept { return error == -ECONNREFUSED; }
  template <class Call>
  static std::int64_t with(native_socket native, Call call) noexcept {
    weir::detail::Socket* socket = world().network.find(native);
    return socket != nullptr ? static_cast<std::int64_t>(call(world().network, *socket)) : -EBADF;
  }
  static std::int64_t open(weir::AddressFamily family, weir::SocketType type, int) noexcept {
    return world().network.open(family, type);
  }
  static std::int64_t open_pair(native_socket (&pair)[2]) noexcept { return world().network.open_pair(pair); }
  static std::int64_t close(native_socket native) noexcept {
    return with(native, [&](Network& network, auto&) {
      network.close(native, false);
      return 0;
    });
  }
  static std::int64_t bind(native_socket native, const RawAddress& address) noexcept {
    return with(native, [&](Network& network, auto& socket) { return network.bind(socket, address); });
  }
  static std::int64_t listen(native_socket native, int backlog) noexcept {
    return with(native, [&](Network& network, auto& socket) { return network.listen(socket, backlog); });
  }
  static std::int64_t local_address(native_socket native, RawAddress& out) noexcept {
    return with(native, [&](Network&, auto& socket) {
      out = Network::shown(socket, socket.local);
      return 0;
    });
  }
  static std::int64_t peer_address(native_socket, RawAddress&) noexcept { return -ENOTSUP; }
  static std::int64_t set_option(native_socket native, SocketOption option, int value) noexcept {
    return with(native,
                [&](Network& network, auto& socket) { return network.set_option(socket, option, value); });
  }
  static std::int64_t get_option(native_socket native, SocketOption option) noexcept {
    return with(native, [&](Network& network, auto& socket) { return network.get_option(socket, option); });
  }
  static std::int64_t shutdown(native_socket native, ShutdownHow how) noexcept {
    return with(native, [&](Network& network, auto& socket) { return network.shutdown(socket, how); });
  }
  static std::int64_t adopt(native_socket) noexcept { return -ENOTSUP; }
  static std::int64_t is_blocking(native_socket) noexcept { return 0; }
  static std::int64_t type(native_socket native) noexcept {
    return with(native, [](Network&, auto& socket) { return static_cast<int>(socket.type); });
  }
  static std::int64_t family(native_socket native) noexcept {
    return with(native, [](Network&, auto& socket) { return static_cast<int>(socket.family); });
  }
  static std::int64_t peer_credentials(native_socket, PeerCredentials&) noexcept { return -ENOTSUP; }
  static std::int64_t socket_file(const RawAddress&, FileIdentity&) noexcept { return -ENOTSUP; }
  static std::int64_t remove_file(const RawAddress&) noexcept { return -ENOTSUP; }
  static std::int64_t connect(native_socket native, const RawAddress& address) noexcept {
    return with(native, [&](Network& network, auto& socket) {
      return network.connect(socket, address, world().schedule_chance.draw(2) == 0);
    });
  }
  static bool is_listening(native_socket) noexcept { return true; }
  static std::int64_t connect_result(native_socket native) noexcept {
    return with(native, [](Network& network, auto& socket) {
      const std::int64_t result = network.finish_connect(socket);
      return result == -EAGAIN ? -EINPROGRESS : result;
    });
  }
  static bool concerns_one_connection(std::int64_t result) noexcept { return result == -ECONNABORTED; }
  static std::int64_t accept(native_socket native, RawAddress& peer) noexcept {
    return with(native, [&](Network& network, auto& socket) { return network.accept(socket, peer); });
  }
  static std::int64_t receive(native_socket native, std::span<std::byte> into) noexcept {
    return with(native, [&](Network& network, auto& socket) { return network.receive(socket, into); });
  }
  static std::int64_t send(native_socket native, ConstBuffer buffer) noexcept {
    return send_gather(native, std::span(&buffer, 1));
  }
  static std::int64_t read(native_socket native, std::span<std::byte> into) noexcept {
    return receive(native, into);
  }
  static std::int64_t write(native_socket native, std::span<const ConstBuffer> buffers) noexcept {
    return send_gather(native, buffers);
  }
  static std::int64_t has_hung_up(native_socket native) noexcept {
    return with(native, [](Network& network, auto& socket) { return network.has_hung_up(socket); });
  }
  static std::int64_t receive_fds(native_socket native, std::span<std::byte> into, FdBatch& fds) noexcept {
    return with(native, [&](Network& network, auto& socket) { return network.receive(socket, into, &fds); });
  }
  static std::int64_t send_fds(native_socket native, ConstBuffer data,
                               std::span<const native_socket> fds) noexcept {
    return send_gather(native, std::span(&data, 1), fds);
  }
  static std::int64_t send_gather(native_socket native, std::span<const ConstBuffer> buffers,
                                  std::span<const native_socket> fds = {}) noexcept {
    return with(native, [&](Network& network, auto& socket) {
      const std::int64_t result = network.send(socket, buffers, fds);
      if (const auto found = registrations.find(native); found != registrations.end()) {
        found->second->was_writable = network.is_writable(socket);
      }
      return result;
    });
  }
};

class Poller {
 public:
  using Sockets = strict::Sockets;
  using Files = PosixFiles;
  using Event = PollEvent;
  static constexpr bool has_edge = true;

  Poller() : world_(World::current()) {
    World::enter(world_);
    registrations.clear();
  }
  ~Poller() { registrations.clear(); }

  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    unwatch(native);
    Socket* socket = world_->network.find(native);
    if (socket == nullptr) {
      return -EBADF;
    }
    auto made = std::make_unique<Registration>();
    made->key.backend = made.get();
    made->socket_id = socket->id;
    made->token = token;
    made->interest = interest;
    socket->handles.push_back(&made->key);
    note(*made);
    registrations[native] = std::move(made);
    return 0;
  }
  std::int64_t rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    return watch(native, token, interest);
  }
  void unwatch(native_socket native) noexcept {
    const auto found = registrations.find(native);
    if (found == registrations.end()) {
      return;
    }
    if (Socket* socket = world_->network.by_id(found->second->socket_id); socket != nullptr) {
      std::erase(socket->handles, &found->second->key);
    }
    old_tokens_.push_back(found->second->token);
    registrations.erase(found);
  }

  Polled<Event> poll(TimePoint deadline) {
    Random& chance = world_->turn_chance;
    world_->clock.advance(chance.between(std::chrono::microseconds(1), std::chrono::microseconds(3)));
    collect();
    while (events_.empty() && !some_late_ && deadline > world_->clock.now()) {
      world_->clock.jump(std::min(deadline, world_->network.next_arrival()));
      collect();
    }
    return {events_, false};
  }
  bool take_wake() noexcept { return false; }
  void wake() noexcept {}
  TimePoint now() const noexcept { return world_->clock.now(); }
  static bool has(Capability) noexcept { return true; }

 private:
  void collect() {
    world_->network.deliver_due();
    Random& chance = world_->schedule_chance;
    events_.clear();
    some_late_ = false;
    for (const auto& [native, registration] : registrations) {
      const Socket* socket = world_->network.by_id(registration->socket_id);
      if (socket == nullptr) {
        continue;
      }
      if (chance.chance(world_->options.late_chance)) {
        some_late_ = true;
        continue;
      }
      const bool edge = (registration->interest & edge_interest) != 0;
      Readiness ready = edge ? std::exchange(registration->news, Readiness{0}) : state_of(*socket);
      if (!edge) {
        ready &= registration->interest | is_ended;
      }
      if ((ready & (is_readable | is_writable)) != 0) {
        events_.push_back({registration->token, ready});
      }
    }
    if (!old_tokens_.empty() && chance.chance(0.1)) {
      events_.push_back({old_tokens_[chance.draw(old_tokens_.size())], is_readable | is_writable | is_ended});
    }
    for (std::size_t left = events_.size(); left > 1; --left) {
      std::swap(events_[left - 1], events_[chance.draw(left)]);
    }
  }

  std::shared_ptr<World> world_;
  std::vector<PollEvent> events_;
  bool some_late_ = false;  // told in a later poll, so this one must not wait
  std::vector<std::uint64_t> old_tokens_;
};

static_assert(IsPoller<Poller>);

}  // namespace strict

#define SIM_TEST_BACKEND
namespace sim_test {
using TestBackend = weir::detail::ReadinessBackend<strict::Poller>;
}
