// The datagram calls of Windows.
#include "backends/system/socket_address.hpp"
#include "backends/windows/errors.hpp"
#include "backends/windows/sockets.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>

namespace weir::inline WEIR_ABI::detail {

namespace {

std::int64_t send_one(native_socket native, const Datagram& datagram) noexcept {
  if (datagram.data.size() > INT_MAX) {
    return -EMSGSIZE;
  }
  const auto* const data = reinterpret_cast<const char*>(datagram.data.data());
  const auto size = static_cast<int>(datagram.data.size());
  if (datagram.to == nullptr) {
    return ::send(native, data, size, 0) < 0 ? last_socket_error(native) : 0;
  }
  const SystemAddress to = to_system(*datagram.to);
  if (to.length == 0) {
    return datagram.to->family == AddressFamily::unix_domain ? -ENAMETOOLONG : -EAFNOSUPPORT;
  }
  return ::sendto(native, data, size, 0, to.get(), to.length) < 0 ? last_socket_error(native) : 0;
}

}  // namespace

std::int64_t WindowsSockets::receive_from(native_socket native, std::span<std::byte> into,
                                          RawAddress& from) noexcept {
  SystemAddress address;
  WSABUF piece{static_cast<ULONG>(std::min<std::size_t>(into.size(), INT_MAX)),
               reinterpret_cast<char*>(into.data())};
  DWORD received = 0;
  DWORD flags = 0;
  if (::WSARecvFrom(native, &piece, 1, &received, &flags, address.get(), &address.length, nullptr, nullptr) ==
      0) {
    from = from_system(address);
    return received;
  }
  const std::int64_t error = last_socket_error(native);
  if (error == -EMSGSIZE) {
    from = from_system(address);
    return piece.len;  // what did not fit is lost
  }
  // So Windows says that an earlier datagram found nobody.
  return error == -ECONNRESET ? -ECONNREFUSED : error;
}

std::int64_t WindowsDatagramBatch::receive(native_socket native) noexcept {
  error_ = 0;
  for (count_ = 0; count_ != capacity; ++count_) {
    const std::int64_t size =
        WindowsSockets::receive_from(native, {memory_.get() + count_ * slot_size, slot_size}, from_[count_]);
    if (size < 0) {
      error_ = size == -EAGAIN ? 0 : size;
      return count_ != 0 ? static_cast<std::int64_t>(count_) : size;
    }
    sizes_[count_] = static_cast<std::size_t>(size);
  }
  return static_cast<std::int64_t>(count_);
}

std::int64_t WindowsSockets::send_datagrams(native_socket native, std::span<const Datagram> datagrams,
                                            bool) noexcept {
  std::int64_t sent = 0;
  for (const Datagram& datagram : datagrams) {
    if (const std::int64_t error = send_one(native, datagram); error < 0) {
      return sent != 0 ? sent : error;
    }
    ++sent;
  }
  return sent;
}

bool WindowsSockets::concerns_peer(std::int64_t error) noexcept {
  switch (-error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETRESET:  // its time to live ran out
    case EMSGSIZE:
      return true;
    default:
      return false;
  }
}

}  // namespace weir::inline WEIR_ABI::detail
