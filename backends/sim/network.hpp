// The in-memory network of a world: sockets, the descriptor table, ports, and the segments under way. Knows
// no loop: whoever has a handle on a socket is told by socket_changed() and looks for itself.
#pragma once

#include "backends/sim/socket.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

struct World;

// Something may have become ready on the socket of this handle. Defined by the backend.
void socket_changed(BackendHandle& handle) noexcept;

// Calls return what the system call would: a value >= 0 or a negated errno; -EAGAIN where it would block.
class Network {
 public:
  explicit Network(World& world);

  // Numbers begin here, so that a real descriptor can be told from a simulated one. The lowest free one is
  // given, as POSIX says.
  static constexpr native_socket first_number = 1'000'000;

  std::int64_t open(AddressFamily family, SocketType type);
  std::int64_t open_pair(native_socket (&pair)[2]);
  // The end to read from and the end to write to.
  std::int64_t open_pipe(native_socket (&ends)[2]);
  // The socket with this number, or null.
  Socket* find(native_socket number) const noexcept;
  Socket* by_id(std::uint64_t id) const noexcept;
  // Closes the descriptor, and the socket if nothing else refers to it. With keep_number the number stays
  // taken until release_number().
  void close(native_socket number, bool keep_number);
  void release_number(native_socket number);
  std::size_t open_count() const noexcept { return numbers_taken_; }
  void set_descriptor_limit(std::size_t limit) noexcept { descriptor_limit_ = limit; }

  std::int64_t bind(Socket& socket, const RawAddress& address);
  std::int64_t listen(Socket& socket, int backlog);
  // -EINPROGRESS, or with at_once perhaps the answer. finish_connect() has the answer later.
  std::int64_t connect(Socket& socket, const RawAddress& address, bool at_once);
  std::int64_t finish_connect(Socket& socket);
  std::int64_t accept(Socket& listener, RawAddress& peer);
  std::int64_t send(Socket& socket, std::span<const ConstBuffer> buffers,
                    std::span<const native_socket> fds = {});
  // Without `fds`, descriptors that come with the bytes are closed.
  std::int64_t receive(Socket& socket, std::span<std::byte> into, FdBatch* fds = nullptr);
  // In datagrams.cpp. 1 when the datagram was sent.
  // One datagram of these to the connected peer: how many bytes it has.
  std::int64_t send_as_datagram(Socket& socket, std::span<const ConstBuffer> buffers);
  std::int64_t send_to(Socket& socket, const Datagram& datagram);
  std::int64_t receive_from(Socket& socket, std::span<std::byte> into, RawAddress& from);
  std::int64_t change_group(Socket& socket, const RawAddress& group, bool joins);
  std::int64_t shutdown(Socket& socket, ShutdownHow how);
  std::int64_t set_option(Socket& socket, SocketOption option, int value);
  std::int64_t get_option(Socket& socket, SocketOption option);
  std::int64_t socket_file(const RawAddress& address, FileIdentity& out) const noexcept;
  std::int64_t remove_file(const RawAddress& address) noexcept;
  // As the owner of the socket sees an address of it.
  static RawAddress shown(const Socket& socket, const RawAddress& address) noexcept;

  // Level-triggered readiness, as poll(2) reports it.
  bool is_readable(const Socket& socket) const noexcept;
  bool is_writable(const Socket& socket) const noexcept;
  // Is nobody left at the other end, or an error pending?
  bool has_hung_up(const Socket& socket) const noexcept;

  // When the next segment arrives; TimePoint::max() when none is under way.
  TimePoint next_arrival() const noexcept { return events_.empty() ? TimePoint::max() : events_.top().at; }
  // Lets everything arrive that is due.
  void deliver_due();

  // Faults; in faults.cpp. <weir/sim.hpp> says what each means. False when this socket cannot suffer it.
  bool reset(Socket& socket);
  bool vanish(Socket& socket, std::optional<std::chrono::nanoseconds> back_after);
  bool clog(Socket& socket, std::chrono::nanoseconds duration);
  // Of an address, family `unspecified` means every host, and port 0 every port.
  struct Partition {
    RawAddress one;
    RawAddress other;
    std::uint64_t id = 0;  // of one that heals by itself
    friend bool operator==(const Partition&, const Partition&) = default;
  };
  void part(const Partition& partition, std::optional<std::chrono::nanoseconds> heal_after = {});
  // Heals those that are equal; with none given, all.
  void heal(const Partition* partition);

 private:
  // From give_up on they are no segments, but timers of the network's own.
  enum class Segment : std::uint8_t {
    syn,
    syn_ack,
    ack,
    data,
    fin,
    reset,
    datagram,
    port_unreachable,
    give_up,
    heal,
    come_back
  };
  struct Event {
    TimePoint at;
    std::uint64_t sequence;
    std::uint64_t to;
    std::uint64_t from;
    std::size_t bytes;
    Segment segment;
    friend bool operator>(const Event& a, const Event& b) noexcept {
      return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
    }
  };

  Socket& make_socket(AddressFamily family, SocketType type);
  std::int64_t take_number(Socket& socket);
  void erase(Socket& socket);
  // Descriptors under way; in passing.cpp.
  Passed share(std::span<const native_socket> fds);
  void hand_over(const Passed& passed, FdBatch& fds);
  void let_go(const Passed& passed);
  void let_go(Socket& socket);
  void end(Socket& socket);
  void changed(Socket& socket) noexcept;
  void schedule(Segment segment, const Socket& from, std::uint64_t to, std::size_t bytes = 0,
                std::chrono::nanoseconds delay = {});

  // Arrivals.
  void arrive(const Event& event);
  void arrive_syn(Socket& client);
  void arrive_syn_ack(const Event& event);
  void arrive_ack(const Event& event);
  void arrive_reset(Socket& socket, std::uint64_t from);
  Socket& make_server_side(Socket& listener, Socket& client);
  void queue_accepted(Socket& listener, Socket& server);
  void refuse(Socket& client, int error);
  void retry_syn(Socket& client);

  // Datagrams; in datagrams.cpp.
  struct Travelling {
    Received datagram;
    RawAddress to;
  };
  static bool is_datagram_readable(const Socket& socket) noexcept;
  bool is_datagram_writable(const Socket& socket) const noexcept;
  std::int64_t connect_datagrams(Socket& socket, const RawAddress& address);
  std::int64_t bind_for_sending(Socket& socket, AddressFamily family);
  std::int64_t send_udp(Socket& socket, const Datagram& datagram);
  std::int64_t send_to_name(Socket& socket, const Datagram& datagram);
  Socket* named_datagram_socket(const RawAddress& address, std::int64_t& error) const noexcept;
  void send_off(Socket& socket, Travelling travelling);
  void arrive_datagram(const Event& event);
  void arrive_port_unreachable(Socket& sender);
  std::vector<Socket*> datagram_receivers(const Travelling& travelling);
  void receive_later(Socket& receiver, Received datagram);

  // Faults; in faults.cpp.
  bool is_short_of_descriptors();
  bool is_parted(const Socket& socket) const noexcept;
  bool is_parted(const RawAddress& one, const RawAddress& other) const noexcept;
  // Whether the event cannot arrive now: it is held, put off or dropped then.
  bool is_stopped(const Event& event);
  void hold(const Event& event, Socket* sender);
  void release_held();
  // May let a fault befall the connection by chance; false when this event goes no further.
  bool survives_chance(const Event& event, Socket& receiver);
  TimePoint after(std::chrono::nanoseconds delay) const noexcept;
  void set_timer(Segment what, std::chrono::nanoseconds delay, std::uint64_t to, std::uint64_t from = 0);
  void run_timer(const Event& event);
  void give_up(Socket& socket);
  void come_back(const Event& event);

  // Ports; in ports.cpp.
  using Ports = std::map<std::uint16_t, std::vector<Socket*>>;
  struct Claim;  // what a socket asks for when it is bound
  bool conflicts(const Claim& claim, std::uint16_t port) const noexcept;
  std::uint16_t free_port(const Claim& claim) noexcept;
  std::int64_t bind_to(Socket& socket, const RawAddress& address, std::uint16_t port);
  Socket* find_listener(const RawAddress& address);
  void unbind(Socket& socket) noexcept;

  // Names; in unix_names.cpp.
  std::int64_t bind_to_name(Socket& socket, const RawAddress& address);
  std::int64_t connect_to_name(Socket& socket, const RawAddress& address);
  void leave_name(const Socket& socket) noexcept;

  std::size_t room(const Socket& socket) const noexcept;

  World& world_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Socket>>
      sockets_;  // by id; looked up only, never iterated
  std::uint64_t last_id_ = 0;
  static constexpr std::uint64_t no_socket = 0;
  std::vector<std::uint64_t> numbers_;  // ids by number; of no socket when free, of a closed one when kept
  std::priority_queue<native_socket, std::vector<native_socket>, std::greater<>> free_numbers_;
  std::size_t numbers_taken_ = 0;
  std::size_t descriptor_limit_;
  Ports bound_;
  Ports listening_;
  std::uint16_t next_port_;
  // Names of Unix sockets. Those that are files stay when their socket is gone.
  struct Name {
    std::uint64_t socket_id;
    std::uint64_t file;  // never used twice
  };
  std::map<std::string, Name, std::less<>> names_;
  std::uint64_t last_file_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t last_sequence_ = 0;
  std::unordered_map<std::uint64_t, Travelling> travelling_;  // by the sequence of its event
  bool can_be_stopped_ = false;  // something was parted, cut or clogged at least once
  std::vector<Partition> partitions_;
  std::uint64_t last_partition_ = 0;
  std::vector<Event> held_;  // what cannot get through, in its order
};

// What kind of destination an address is for this host.
enum class Reach : std::uint8_t { local, silent, unreachable };
Reach reach(const RawAddress& address) noexcept;
bool is_any(const RawAddress& address) noexcept;
bool is_multicast(const RawAddress& address) noexcept;
// An IPv4-mapped IPv6 address as IPv4; others unchanged.
RawAddress unmapped(const RawAddress& address) noexcept;
// 0, or the errno for an address whose family a socket of this family does not take; address is unmapped on
// success.
int take_address(const Socket& socket, RawAddress& address) noexcept;
RawAddress loopback(AddressFamily family) noexcept;
// Does what is sent to this address and the socket's port reach the socket?
bool serves_address(const Socket& socket, const RawAddress& address) noexcept;

}  // namespace weir::inline WEIR_ABI::detail
