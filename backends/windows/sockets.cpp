// The socket calls of Windows.
#include "backends/windows/sockets.hpp"

#include "backends/system/socket_address.hpp"
#include "backends/system/socket_option.hpp"
#include "backends/windows/errors.hpp"
#include "backends/windows/files.hpp"
#include "backends/windows/winsock.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <mutex>

#ifndef SIO_UDP_CONNRESET
#define SIO_UDP_CONNRESET _WSAIOW(IOC_VENDOR, 12)
#endif

namespace weir::inline WEIR_ABI::detail {

namespace {

template <class T>
std::int64_t set(native_socket native, int level, int name, const T& value) noexcept {
  return ::setsockopt(native, level, name, reinterpret_cast<const char*>(&value), sizeof value) != 0
             ? last_socket_error(native)
             : 0;
}

template <class T>
std::int64_t get(native_socket native, int level, int name, T& value) noexcept {
  int length = sizeof value;
  return ::getsockopt(native, level, name, reinterpret_cast<char*>(&value), &length) != 0
             ? last_socket_error(native)
             : 0;
}

std::int64_t int_option(native_socket native, int level, int name) noexcept {
  DWORD value = 0;  // some options write one byte of it, some all four
  const std::int64_t error = get(native, level, name, value);
  return error < 0 ? error : static_cast<std::int32_t>(value);
}

std::int64_t prepare(native_socket native) noexcept {
  u_long on = 1;
  if (::ioctlsocket(native, static_cast<long>(FIONBIO), &on) != 0) {
    return last_socket_error(native);
  }
  return ::SetHandleInformation(reinterpret_cast<HANDLE>(native), HANDLE_FLAG_INHERIT, 0) == 0 ? last_error()
                                                                                               : 0;
}

// An answer of ICMP to one datagram would fail the receiving of others. With one peer it is news.
void report_unreachable_peers(native_socket native, BOOL report) noexcept {
  DWORD size = 0;
  ::WSAIoctl(native, SIO_UDP_CONNRESET, &report, sizeof report, nullptr, 0, &size, nullptr, nullptr);
}

// What the system says of a socket at this moment; POLLNVAL of what is none.
short events_of(native_socket native) noexcept {
  WSAPOLLFD asked{native, POLLRDNORM, 0};
  return ::WSAPoll(&asked, 1, 0) < 0 ? static_cast<short>(POLLNVAL) : asked.revents;
}

// Wine tells of a reset in no other way, once its server has taken note of it.
bool is_reset(native_socket native) noexcept { return (events_of(native) & POLLERR) != 0; }

int length_of(std::span<const std::byte> bytes) noexcept {
  return static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX));
}

char* chars(std::span<std::byte> bytes) noexcept { return reinterpret_cast<char*>(bytes.data()); }
const char* chars(ConstBuffer bytes) noexcept { return reinterpret_cast<const char*>(bytes.data()); }

// Closed by its destructor, unless it was taken.
class Opened {
 public:
  explicit Opened(std::int64_t opened) noexcept : result_(opened) {}
  ~Opened() {
    if (result_ >= 0) {
      ::closesocket(get());
    }
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  std::int64_t error() const noexcept { return std::min<std::int64_t>(result_, 0); }
  native_socket get() const noexcept { return static_cast<native_socket>(result_); }
  native_socket take() noexcept {
    const native_socket taken = get();
    result_ = -1;
    return taken;
  }

 private:
  std::int64_t result_;
};

std::int64_t wait_for(native_socket native, short events) noexcept {
  WSAPOLLFD one{native, events, 0};
  const int count = ::WSAPoll(&one, 1, 5000);
  return count > 0 ? 0 : count == 0 ? -ETIMEDOUT : last_socket_error(native);
}

// Connects to a listener of this process. Anybody on the machine may come first, who is sent away.
std::int64_t connect_to(native_socket listener, native_socket& accepted, native_socket near_end) noexcept {
  RawAddress address;
  RawAddress own;
  RawAddress peer;
  std::int64_t error = WindowsSockets::local_address(listener, address);
  if (error == 0) {
    error = WindowsSockets::connect(near_end, address);
  }
  if (error < 0 && error != -EINPROGRESS) {
    return error;
  }
  while (true) {
    if (error = wait_for(listener, POLLRDNORM); error < 0) {
      return error;
    }
    Opened one(WindowsSockets::accept(listener, peer));
    if (one.error() < 0 && one.error() != -EAGAIN) {
      return one.error();
    }
    if (one.error() == 0 && WindowsSockets::local_address(near_end, own) == 0 && own.port == peer.port) {
      accepted = one.take();
      return wait_for(near_end, POLLWRNORM);
    }
  }
}

}  // namespace

void start_winsock() noexcept {
  static std::once_flag once;
  std::call_once(once, [] {
    WSADATA data;
    ::WSAStartup(MAKEWORD(2, 2), &data);  // until the process ends; a failure is told by the first call
  });
}

std::int64_t WindowsSockets::open(AddressFamily family, SocketType type, int protocol) noexcept {
  start_winsock();
  const bool is_stream = type == SocketType::stream;
  const SOCKET opened = ::WSASocketW(system_family(family), is_stream ? SOCK_STREAM : SOCK_DGRAM, protocol,
                                     nullptr, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
  if (opened == INVALID_SOCKET) {
    return last_socket_error();
  }
  u_long on = 1;
  if (::ioctlsocket(opened, static_cast<long>(FIONBIO), &on) != 0) {
    const std::int64_t error = last_socket_error();
    ::closesocket(opened);
    return error;
  }
  if (!is_stream) {
    report_unreachable_peers(opened, FALSE);
  }
  return static_cast<std::int64_t>(opened);
}

std::int64_t WindowsSockets::open_pair(native_socket (&pair)[2]) noexcept {
  RawAddress loopback;
  loopback.family = AddressFamily::inet;
  loopback.ip = {std::uint8_t{127}, std::uint8_t{0}, std::uint8_t{0}, std::uint8_t{1}};
  Opened listener(open(AddressFamily::inet, SocketType::stream, 0));
  Opened first(open(AddressFamily::inet, SocketType::stream, 0));
  for (const std::int64_t error : {listener.error(), first.error()}) {
    if (error < 0) {
      return error;
    }
  }
  std::int64_t error = bind(listener.get(), loopback);
  if (error == 0) {
    error = listen(listener.get(), 1);
  }
  native_socket second = invalid_socket;
  if (error == 0) {
    error = connect_to(listener.get(), second, first.get());
  }
  if (error < 0) {
    if (second != invalid_socket) {
      close(second);
    }
    return error;
  }
  // A pair is for small messages between two who both wait for them.
  set_option(first.get(), SocketOption::no_delay, 1);
  set_option(second, SocketOption::no_delay, 1);
  pair[0] = first.take();
  pair[1] = second;
  return 0;
}

std::int64_t WindowsSockets::close(native_socket native) noexcept {
  if (::closesocket(native) == 0) {
    return 0;
  }
  const std::int64_t error = last_socket_error(native);
  return error == -ENOTSOCK ? WindowsFiles::close(native) : error;  // the end of a pipe
}

std::int64_t WindowsSockets::bind(native_socket native, const RawAddress& address) noexcept {
  const SystemAddress to = to_system(address);
  if (is_too_long(address, to)) {
    return -ENAMETOOLONG;
  }
  // Otherwise another program can take a port over that is in use.
  if (type(native) == static_cast<std::int64_t>(SocketType::stream)) {
    set<BOOL>(native, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, TRUE);
  }
  return ::bind(native, to.get(), to.length) != 0 ? last_socket_error(native) : 0;
}

std::int64_t WindowsSockets::listen(native_socket native, int backlog) noexcept {
  return ::listen(native, backlog) != 0 ? last_socket_error(native) : 0;
}

std::int64_t WindowsSockets::local_address(native_socket native, RawAddress& out) noexcept {
  SystemAddress address;
  if (::getsockname(native, address.get(), &address.length) == 0) {
    out = from_system(address);
    return 0;
  }
  const std::int64_t error = last_socket_error(native);
  const std::int64_t own = error == -EINVAL ? family(native) : error;  // it has no address yet
  if (own < 0) {
    return error;
  }
  out = {};
  out.family = static_cast<AddressFamily>(own);
  return 0;
}

std::int64_t WindowsSockets::peer_address(native_socket native, RawAddress& out) noexcept {
  SystemAddress address;
  if (::getpeername(native, address.get(), &address.length) != 0) {
    return last_socket_error(native);
  }
  out = from_system(address);
  return 0;
}

std::int64_t WindowsSockets::set_option(native_socket native, SocketOption option, int value) noexcept {
  if (is_multicast(option)) {
    return set_multicast_option(native, option, value);
  }
  const OptionName which = option_name(option);
  if (which.level < 0) {
    return -ENOTSUP;
  }
  if (option == SocketOption::linger_abort) {
    return set(native, which.level, which.name, linger{static_cast<u_short>(value != 0 ? 1 : 0), 0});
  }
  // What other systems call by this name, streams do here without being told. SO_REUSEADDR would let others
  // take the port over.
  if (option == SocketOption::reuse_address &&
      type(native) == static_cast<std::int64_t>(SocketType::stream)) {
    return 0;
  }
  return set(native, which.level, which.name, static_cast<DWORD>(value));
}

std::int64_t WindowsSockets::get_option(native_socket native, SocketOption option) noexcept {
  if (is_multicast(option)) {
    return get_multicast_option(native, option);
  }
  const OptionName which = option_name(option);
  if (option == SocketOption::reuse_port) {
    return 0;  // there is none that could be set
  }
  if (which.level < 0) {
    return -ENOTSUP;
  }
  if (option == SocketOption::linger_abort) {
    linger how{};
    const std::int64_t error = get(native, which.level, which.name, how);
    return error < 0 ? error : how.l_onoff != 0 && how.l_linger == 0;
  }
  if (option == SocketOption::reuse_address &&
      type(native) == static_cast<std::int64_t>(SocketType::stream)) {
    return 1;
  }
  const std::int64_t value = int_option(native, which.level, which.name);
  if (option != SocketOption::error || value < 0) {
    return value;
  }
  return value > 0 ? -negated_error(static_cast<unsigned long>(value)) : is_reset(native) ? ECONNRESET : 0;
}

std::int64_t WindowsSockets::shutdown(native_socket native, ShutdownHow how) noexcept {
  const int system_how = how == ShutdownHow::read    ? SD_RECEIVE
                         : how == ShutdownHow::write ? SD_SEND
                                                     : SD_BOTH;
  return ::shutdown(native, system_how) != 0 ? last_socket_error(native) : 0;
}

std::int64_t WindowsSockets::adopt(native_socket native) noexcept {
  const std::int64_t its_type = type(native);
  if (its_type != -ENOTSOCK) {
    return its_type < 0 ? its_type : prepare(native);
  }
  // The end of a pipe, and only one that the system does not wait for in a call.
  const bool is_pipe = WindowsFiles::kind(native) == static_cast<std::int64_t>(FileKind::pipe);
  return is_pipe && WindowsFiles::is_blocking(native) == 0 ? WindowsFiles::adopt(native) : -ENOTSUP;
}

std::int64_t WindowsSockets::is_blocking(native_socket native) noexcept {
  return std::min<std::int64_t>(int_option(native, SOL_SOCKET, SO_TYPE), 0);
}

std::int64_t WindowsSockets::type(native_socket native) noexcept {
  start_winsock();
  const std::int64_t type = int_option(native, SOL_SOCKET, SO_TYPE);
  if (type == SOCK_STREAM) {
    return static_cast<std::int64_t>(SocketType::stream);
  }
  if (type == SOCK_DGRAM) {
    return static_cast<std::int64_t>(SocketType::datagram);
  }
  return type < 0 ? type : -EPROTOTYPE;
}

std::int64_t WindowsSockets::family(native_socket native) noexcept {
  WSAPROTOCOL_INFOW info{};
  const std::int64_t error = get(native, SOL_SOCKET, SO_PROTOCOL_INFOW, info);
  return error < 0 ? error : static_cast<std::int64_t>(neutral_family(info.iAddressFamily));
}

std::int64_t WindowsSockets::peer_credentials(native_socket, PeerCredentials&) noexcept {
  return -EOPNOTSUPP;
}

// --- Operations

std::int64_t WindowsSockets::connect(native_socket native, const RawAddress& address) noexcept {
  const SystemAddress to = to_system(address);
  if (is_too_long(address, to)) {
    return -ENAMETOOLONG;
  }
  if (::connect(native, to.get(), to.length) == 0) {
    if (type(native) == static_cast<std::int64_t>(SocketType::datagram)) {
      report_unreachable_peers(native, TRUE);
    }
    return 0;
  }
  const std::int64_t error = last_socket_error(native);
  return error == -EAGAIN || error == -EALREADY ? -EINPROGRESS : error;
}

std::int64_t WindowsSockets::connect_result(native_socket native) noexcept {
  const std::int64_t error = get_option(native, SocketOption::error);
  if (error != 0) {
    return error < 0 ? error : -error;
  }
  SystemAddress peer;
  if (::getpeername(native, peer.get(), &peer.length) == 0) {
    return 0;
  }
  const std::int64_t missing = last_socket_error(native);
  return missing == -ENOTCONN ? -EINPROGRESS : missing;
}

bool WindowsSockets::is_listening(native_socket native) noexcept {
  return int_option(native, SOL_SOCKET, SO_ACCEPTCONN) != 0;
}

std::int64_t WindowsSockets::accept(native_socket native, RawAddress& peer) noexcept {
  SystemAddress address;
  const SOCKET accepted = ::accept(native, address.get(), &address.length);
  if (accepted == INVALID_SOCKET) {
    const std::int64_t error = last_socket_error(native);
    // It died while it waited; Wine says so in the second way.
    return error == -ECONNRESET || error == -ENOTCONN ? -ECONNABORTED : error;
  }
  if (const std::int64_t error = prepare(accepted); error < 0) {
    ::closesocket(accepted);
    return error;
  }
  peer = from_system(address);
  return static_cast<std::int64_t>(accepted);
}

bool WindowsSockets::concerns_one_connection(std::int64_t result) noexcept {
  switch (-result) {
    case ECONNABORTED:
    case ENETDOWN:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

std::int64_t WindowsSockets::receive(native_socket native, std::span<std::byte> into) noexcept {
  const int received = ::recv(native, chars(into), length_of(into), 0);
  if (received > 0) {
    return received;
  }
  if (received < 0) {
    return last_socket_error(native);
  }
  return !into.empty() && is_reset(native) ? -ECONNRESET : 0;
}

std::int64_t WindowsSockets::send(native_socket native, ConstBuffer buffer) noexcept {
  const int sent = ::send(native, chars(buffer), length_of(buffer), 0);
  return sent >= 0 ? sent : last_socket_error(native);
}

std::int64_t WindowsSockets::send_gather(native_socket native,
                                         std::span<const ConstBuffer> buffers) noexcept {
  constexpr std::size_t most = 64;
  std::array<WSABUF, most> pieces;
  const std::size_t count = std::min(buffers.size(), most);
  for (std::size_t i = 0; i != count; ++i) {
    pieces[i].len = static_cast<ULONG>(length_of(buffers[i]));
    pieces[i].buf = const_cast<char*>(chars(buffers[i]));
  }
  DWORD sent = 0;
  return ::WSASend(native, pieces.data(), static_cast<DWORD>(count), &sent, 0, nullptr, nullptr) != 0
             ? last_socket_error(native)
             : std::int64_t{sent};
}

std::int64_t WindowsSockets::send_file(native_socket native, native_file file, std::uint64_t offset,
                                       std::size_t count) noexcept {
  constexpr std::size_t most = 64 * 1024;
  if (WindowsFiles::kind(file) != static_cast<std::int64_t>(FileKind::regular)) {
    return -ENOTSUP;
  }
  std::array<std::byte, most> memory;
  const std::int64_t got =
      WindowsFiles::read_at(file, offset, std::span(memory).first(std::min(most, count)));
  if (got <= 0) {
    return got == -EACCES ? -EBADF : got;  // it is not open for reading
  }
  return send(native, std::span(memory).first(static_cast<std::size_t>(got)));
}

std::int64_t WindowsSockets::receive_fds(native_socket, std::span<std::byte>, FdBatch&) noexcept {
  return -EOPNOTSUPP;
}

std::int64_t WindowsSockets::send_fds(native_socket, ConstBuffer, std::span<const native_socket>) noexcept {
  return -EOPNOTSUPP;
}

std::int64_t WindowsSockets::read(native_socket native, std::span<std::byte> into) noexcept {
  return WindowsFiles::read(native, into);
}

// What a pipe has room for is told by an overlapped write alone.
std::int64_t WindowsSockets::write(native_socket, std::span<const ConstBuffer>) noexcept { return -EAGAIN; }

// Nobody sends anything to the end of a pipe that is written to: reading it finds its end or nothing.
std::int64_t WindowsSockets::has_hung_up(native_socket native) noexcept {
  if (const short events = events_of(native); (events & POLLNVAL) == 0) {
    return (events & (POLLERR | POLLHUP)) != 0;
  }
  std::byte nothing{};
  return WindowsFiles::read(native, {&nothing, 1}) == 0;
}

}  // namespace weir::inline WEIR_ABI::detail
