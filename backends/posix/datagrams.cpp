// The datagram calls of POSIX: many datagrams a call where the system has recvmmsg and sendmmsg.
#include "backends/posix/call.hpp"
#include "backends/posix/datagram_batch.hpp"
#include "backends/posix/socket_address.hpp"
#include "backends/posix/sockets.hpp"

#include <algorithm>
#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

namespace {

// A message for the system out of a datagram: its parts point to each other.
struct Outgoing {
  // 0, or the negated errno of an address that no system call would take.
  std::int64_t prepare(const Datagram& datagram, msghdr& message) noexcept {
    piece = {const_cast<std::byte*>(datagram.data.data()), datagram.data.size()};
    message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (datagram.to != nullptr) {
      address = to_system(*datagram.to);
      if (address.length == 0) {
        return datagram.to->family == AddressFamily::unix_domain ? -ENAMETOOLONG : -EAFNOSUPPORT;
      }
      message.msg_name = address.get();
      message.msg_namelen = address.length;
    }
    return 0;
  }

  iovec piece;
  SystemAddress address;
};

std::int64_t send_one(native_socket native, const Datagram& datagram, int flags) noexcept {
  Outgoing outgoing;
  msghdr message;
  if (const std::int64_t error = outgoing.prepare(datagram, message); error < 0) {
    return error;
  }
  const std::int64_t result = retried([&] { return ::sendmsg(native, &message, flags); });
  return result < 0 ? result : 1;
}

}  // namespace

// --- Receiving

PosixDatagramBatch::PosixDatagramBatch() : memory_(new std::byte[capacity * slot_size]) {
  for (std::size_t i = 0; i != capacity; ++i) {
    pieces_[i] = {memory_.get() + i * slot_size, slot_size};
    messages_[i] = {};
    messages_[i].msg_hdr.msg_name = &addresses_[i];
    messages_[i].msg_hdr.msg_iov = &pieces_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

std::int64_t PosixDatagramBatch::receive(native_socket native) noexcept {
  for (std::size_t i = 0; i != used_; ++i) {
    messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  }
#ifdef __linux__
  const std::int64_t result =
      retried([&] { return ::recvmmsg(native, messages_.data(), capacity, MSG_DONTWAIT, nullptr); });
  used_ = static_cast<std::size_t>(std::max<std::int64_t>(result, 1));
  return result;
#else
  used_ = capacity;
  error_ = 0;
  for (std::size_t i = 0; i != capacity; ++i) {
    const std::int64_t result = retried([&] { return ::recvmsg(native, &messages_[i].msg_hdr, 0); });
    if (result < 0) {
      error_ = i != 0 && result != -EAGAIN ? result : 0;
      return i != 0 ? static_cast<std::int64_t>(i) : result;
    }
    messages_[i].msg_len = static_cast<unsigned>(result);
  }
  return capacity;
#endif
}

std::span<std::byte> PosixDatagramBatch::data(std::size_t index) noexcept {
  return {memory_.get() + index * slot_size, messages_[index].msg_len};
}

RawAddress PosixDatagramBatch::from(std::size_t index) const noexcept {
  return from_system(addresses_[index], messages_[index].msg_hdr.msg_namelen);
}

std::int64_t PosixSockets::receive_from(native_socket native, std::span<std::byte> into,
                                        RawAddress& from) noexcept {
  SystemAddress address;
  const std::int64_t result = retried([&] {
    address.length = sizeof address.storage;
    return ::recvfrom(native, into.data(), into.size(), 0, address.get(), &address.length);
  });
  if (result >= 0) {
    from = from_system(address.storage, address.length);
  }
  return result;
}

// --- Sending

std::int64_t PosixSockets::send_datagrams(native_socket native,
                                          std::span<const Datagram> datagrams) noexcept {
#ifdef __linux__
  constexpr std::size_t most = 64;
  if (datagrams.size() > 1) {
    Outgoing outgoing[most];
    mmsghdr messages[most];
    std::size_t count = 0;
    std::int64_t error = 0;
    while (count != std::min(datagrams.size(), most) && error == 0) {
      error = outgoing[count].prepare(datagrams[count], messages[count].msg_hdr);
      count += error == 0 ? 1 : 0;
    }
    if (count == 0) {
      return error;
    }
    return retried([&] { return ::sendmmsg(native, messages, static_cast<unsigned>(count), send_flags); });
  }
#endif
  std::int64_t sent = 0;
  for (const Datagram& datagram : datagrams) {
    if (const std::int64_t result = send_one(native, datagram, send_flags); result < 0) {
      return sent != 0 ? sent : result;
    }
    ++sent;
  }
  return sent;
}

bool PosixSockets::concerns_peer(std::int64_t error) noexcept {
  switch (-error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EPROTO:
    case EMSGSIZE:
      return true;
    default:
      return false;
  }
}

}  // namespace weir::inline WEIR_ABI::detail
