// Socket: a socket that closes itself, and SocketView: the same without owning it. Both belong to the
// loop's thread once they are used with a loop.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/raw_address.hpp>
#include <weir/fwd.hpp>
#include <weir/net/address.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {
struct BackendHandle;
struct SocketAccess;
}  // namespace detail

// When a TCP connection on which nothing comes is taken for dead: it is probed after `idle` and then every
// `interval`, and given up when `count` probes have had no answer.
struct KeepAliveTiming {
  std::chrono::seconds idle{7200};
  std::chrono::seconds interval{75};
  int count = 9;
  friend bool operator==(const KeepAliveTiming&, const KeepAliveTiming&) = default;
};

// A socket that somebody else owns: what extra::socket gives, and the calls that Socket shares. A copyable
// view, good as long as the owner keeps the socket open. Every call throws std::system_error that names the
// call, and the address where there is one, when the system refuses.
class WEIR_API SocketView {
 public:
  SocketView() noexcept = default;
  explicit SocketView(native_socket native) noexcept : native_(native) {}

  // The system's handle, or invalid_socket.
  native_socket native_handle() const noexcept { return native_; }
  // Is there a socket? A view does not notice when its owner closes it.
  bool is_open() const noexcept { return native_ != invalid_socket; }

  // Its own address and that of the other side. Those of a pair() have no name.
  Address local_address() const;
  Address peer_address() const;
  // What it was opened as. Throws std::system_error (EPROTOTYPE) for a type that weir does not know.
  SocketType type() const;
  AddressFamily family() const;
  // Who is at the other end of a Unix connection. Throws std::system_error (EOPNOTSUPP) for another kind of
  // socket, (ENOTCONN) without a connection; NotSupportedError where the system does not tell
  // ("peer_credentials").
  PeerCredentials peer_credentials() const;

  // SO_REUSEADDR, SO_REUSEPORT, TCP_NODELAY, SO_KEEPALIVE, IPV6_V6ONLY.
  void set_reuse_address(bool on = true) const;
  void set_reuse_port(bool on = true) const;
  void set_no_delay(bool on = true) const;
  void set_keep_alive(bool on = true) const;
  // The same with its timing (TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT). Times are in whole seconds. Throws
  // std::invalid_argument for numbers below 1 or above 32767 (127 probes), std::system_error where the system
  // has no such times for one socket.
  void set_keep_alive(const KeepAliveTiming& timing) const;
  KeepAliveTiming keep_alive_timing() const;
  void set_ipv6_only(bool on = true) const;
  bool reuse_address() const;
  bool reuse_port() const;
  bool no_delay() const;
  bool keep_alive() const;
  bool ipv6_only() const;
  // SO_SNDBUF and SO_RCVBUF, in bytes. The system may round, and Linux doubles what is set.
  void set_send_buffer_size(std::size_t bytes) const;
  void set_receive_buffer_size(std::size_t bytes) const;
  std::size_t send_buffer_size() const;
  std::size_t receive_buffer_size() const;
  // SO_LINGER with time 0: closing it sends a reset instead of what is unsent.
  void set_linger_abort(bool on = true) const;
  // SO_BROADCAST: a datagram socket may send to broadcast addresses.
  void set_broadcast(bool on = true) const;
  bool broadcast() const;

  // Multicast, of datagram sockets (IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP and their relatives). An interface
  // goes by its number, the one that Address::scope_id() means; 0: the system chooses.
  //
  // Receives what is sent to the group, or no more. Throws std::invalid_argument for a Unix address.
  void join_multicast_group(const Address& group, std::uint32_t interface = 0) const;
  void leave_multicast_group(const Address& group, std::uint32_t interface = 0) const;
  // Over how many routers datagrams to groups go: 0 … 255, 1 at first.
  void set_multicast_ttl(unsigned hops) const;
  unsigned multicast_ttl() const;
  // Whether this machine's own members get them as well, as they do at first.
  void set_multicast_loop(bool on) const;
  bool multicast_loop() const;
  // Through which interface they leave.
  void set_multicast_interface(std::uint32_t interface) const;
  // The pending error (SO_ERROR), which this takes away. No error: a default-made code.
  std::error_code get_error() const;

 protected:
  native_socket native_ = invalid_socket;
};

// A non-blocking, close-on-exec socket, closed by its destructor (socket.socket). Move-only. The functions of
// a loop (sock_recv, create_server, …) tie it to that loop until it is closed, released, or the loop closes;
// it may be moved all the time, but not while one of its operations is pending on another thread's loop.
class WEIR_API Socket : public SocketView {
 public:
  // No socket.
  Socket() noexcept = default;
  Socket(Socket&& other) noexcept { take(other); }
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) {
      close();
      take(other);
    }
    return *this;
  }
  ~Socket() { close(); }

  // A new socket (socket.socket()). protocol 0: the type's own. Throws std::system_error.
  static Socket open(AddressFamily family, SocketType type = SocketType::stream, int protocol = 0);
  // Two stream sockets connected to each other (socket.socketpair). Throws std::system_error.
  static std::pair<Socket, Socket> pair();
  // Takes over a socket that was made elsewhere, and makes it non-blocking and close-on-exec. Throws
  // std::system_error, and then the socket is still the caller's.
  static Socket adopt(native_socket native);

  // Gives it an address; port 0 lets the system choose a port. Throws std::system_error naming the address.
  void bind(const Address& address) const;
  // Begins to queue connections. backlog 0: as many as the system allows. Throws std::system_error,
  // std::invalid_argument for a negative backlog.
  void listen(int backlog = 0) const;
  // Ends reading, writing or both, for everybody who has this socket. Throws std::system_error.
  void shutdown_read() const;
  void shutdown_write() const;
  void shutdown() const;

  // Sends all of `data`, at least one byte, and the descriptors with the first one of it (socket.send_fds).
  // Both must stay in place until it returns; the descriptors stay the caller's, to close when he likes. They
  // are sent once and all together, or, if it throws, perhaps not at all. For a Unix stream socket; otherwise
  // as loop.sock_sendall. Throws std::invalid_argument for another socket, for no bytes and for more than
  // max_passed_descriptors; NotSupportedError ("descriptor_passing"). Include <weir/net/descriptors.hpp>.
  Coro<void> send_fds(EventLoop& loop, std::span<const std::byte> data, std::span<const native_socket> fds);
  // Receives at most max_bytes, nothing at end of stream, and the descriptors that travel with these bytes:
  // close-on-exec, and of one send_fds at most (socket.recv_fds). Otherwise as loop.sock_recv: a cancelled
  // call loses neither bytes nor descriptors. Throws std::system_error also when more than max_fds came
  // (EMSGSIZE), or more than the process may open (EMFILE): all that came is closed then and the bytes are
  // lost. Whoever receives in another way than this closes the descriptors that come.
  Coro<ReceivedDescriptors> recv_fds(EventLoop& loop, std::size_t max_bytes, std::size_t max_fds);

  // Closes it; the operations that are pending on it fail with std::errc::bad_file_descriptor. Again:
  // nothing.
  void close() noexcept;
  // Gives the system's socket away, open and non-blocking; pending operations fail as by close().
  // invalid_socket when there is none.
  [[nodiscard]] native_socket release() noexcept;

 private:
  friend struct detail::SocketAccess;
  explicit Socket(native_socket native) noexcept : SocketView(native) {}

  void take(Socket& other) noexcept {
    native_ = std::exchange(other.native_, invalid_socket);
    if (other.handle_ != nullptr) {
      take_handle(other);
    }
  }
  void take_handle(Socket& other) noexcept;

  detail::BackendHandle* handle_ = nullptr;  // while it is tied to a loop; cleared when that one closes
  EventLoop* loop_ = nullptr;                // valid while handle_ is not null
};

}  // namespace weir::inline WEIR_ABI
