// The datagram calls of POSIX: many datagrams a call where the system has recvmmsg and sendmmsg.
#include "backends/posix/call.hpp"
#include "backends/posix/datagram_batch.hpp"
#include "backends/posix/sockets.hpp"
#include "backends/system/socket_address.hpp"

#ifdef __linux__
#include <netinet/in.h>
#include <netinet/udp.h>
#endif
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace weir::inline WEIR_ABI::detail {

namespace {

// How many datagrams travel through the system as one: the least that its versions allow.
constexpr std::size_t most_segments = 64;

// The system's form of an address; its errors are those that no system call would give.
std::int64_t name(const Datagram& datagram, SystemAddress& address, msghdr& message) noexcept {
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

iovec piece(const Datagram& datagram) noexcept {
  return {const_cast<std::byte*>(datagram.data.data()), datagram.data.size()};
}

std::int64_t send_one(native_socket native, const Datagram& datagram, int flags) noexcept {
  SystemAddress address;
  iovec data = piece(datagram);
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (const std::int64_t error = name(datagram, address, message); error < 0) {
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
#ifdef __linux__
    messages_[i].msg_hdr.msg_control = control_[i].data();
#endif
  }
  slices_.reserve(capacity * most_segments);
}

#ifdef __linux__

std::int64_t PosixDatagramBatch::receive(native_socket native) noexcept {
  for (std::size_t i = 0; i != used_; ++i) {
    messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    messages_[i].msg_hdr.msg_controllen = control_size;
  }
  const std::int64_t result =
      retried([&] { return ::recvmmsg(native, messages_.data(), capacity, MSG_DONTWAIT, nullptr); });
  used_ = static_cast<std::size_t>(std::max<std::int64_t>(result, 1));
  if (result < 0) {
    return result;
  }
  slice(used_);
  return static_cast<std::int64_t>(slices_.size());
}

// The size of the datagrams in a message, all but the last of which have it; 0 when it is one datagram.
static std::size_t segment_size(const msghdr& message) noexcept {
  if (message.msg_controllen < sizeof(cmsghdr)) [[likely]] {
    return 0;
  }
  const cmsghdr* const part = CMSG_FIRSTHDR(&message);
  if (part == nullptr || part->cmsg_level != IPPROTO_UDP || part->cmsg_type != UDP_GRO) {
    return 0;
  }
  int size;
  std::memcpy(&size, CMSG_DATA(part), sizeof size);
  return static_cast<std::size_t>(size);
}

#else

std::int64_t PosixDatagramBatch::receive(native_socket native) noexcept {
  used_ = capacity;
  error_ = 0;
  std::size_t count = 0;
  while (count != capacity) {
    messages_[count].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    const std::int64_t result = retried([&] { return ::recvmsg(native, &messages_[count].msg_hdr, 0); });
    if (result < 0) {
      error_ = count != 0 && result != -EAGAIN ? result : 0;
      if (count == 0) {
        return result;
      }
      break;
    }
    messages_[count].msg_len = static_cast<unsigned>(result);
    ++count;
  }
  slice(count);
  return static_cast<std::int64_t>(count);
}

static std::size_t segment_size(const msghdr&) noexcept { return 0; }

#endif

// Within the reserved memory: no system joins more than most_segments.
void PosixDatagramBatch::slice(std::size_t count) {
  is_full_ = count == capacity;
  slices_.clear();
  for (std::uint32_t i = 0; i != count; ++i) {
    const std::uint32_t size = messages_[i].msg_len;
    auto step = static_cast<std::uint32_t>(segment_size(messages_[i].msg_hdr));
    if (step == 0) {
      step = size;
    }
    std::uint32_t offset = 0;
    do {
      slices_.push_back({i, offset, std::min(step, size - offset)});
      offset += step;
    } while (offset < size);
  }
}

std::span<std::byte> PosixDatagramBatch::data(std::size_t index) noexcept {
  const Slice& slice = slices_[index];
  return {memory_.get() + slice.message * slot_size + slice.offset, slice.size};
}

RawAddress PosixDatagramBatch::from(std::size_t index) const noexcept {
  const std::size_t message = slices_[index].message;
  return from_system(addresses_[message], messages_[message].msg_hdr.msg_namelen);
}

bool PosixSockets::join_datagrams([[maybe_unused]] native_socket native) noexcept {
#ifdef __linux__
  constexpr int on = 1;
  return ::setsockopt(native, IPPROTO_UDP, UDP_GRO, &on, sizeof on) == 0;
#else
  return false;
#endif
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

#ifdef __linux__

namespace {

// What one call of sendmmsg gets. Datagrams of one size that follow each other to the same address travel as
// one message, which the system cuts (UDP_SEGMENT); the last of them may be smaller.
class OutgoingBatch {
 public:
  // Takes datagrams from the front of these, which are not empty: 0, or the negated errno of the first one's
  // address.
  std::int64_t fill(std::span<const Datagram> datagrams, bool joined) noexcept {
    count_ = taken_ = 0;
    while (taken_ != std::min(datagrams.size(), capacity)) {
      msghdr& message = messages_[count_].msg_hdr;
      message = {};
      if (const std::int64_t error = name(datagrams[taken_], addresses_[count_], message); error < 0) {
        return count_ == 0 ? error : 0;
      }
      const auto rest = datagrams.subspan(taken_, std::min(datagrams.size(), capacity) - taken_);
      const std::size_t size = joined ? run(rest) : 1;
      message.msg_iov = &pieces_[taken_];
      message.msg_iovlen = size;
      for (const Datagram& datagram : rest.first(size)) {
        pieces_[taken_++] = piece(datagram);
      }
      if (size > 1) {
        cut(message, rest.front().data.size());
      }
      ++count_;
    }
    return 0;
  }

  // How many datagrams the system took, or the negated errno of the first message.
  std::int64_t send(native_socket native, int flags) noexcept {
    const std::int64_t result =
        retried([&] { return ::sendmmsg(native, messages_, static_cast<unsigned>(count_), flags); });
    std::int64_t sent = 0;
    for (std::int64_t i = 0; i < result; ++i) {
      sent += static_cast<std::int64_t>(messages_[i].msg_hdr.msg_iovlen);
    }
    return result < 0 ? result : sent;
  }
  bool is_first_joined() const noexcept { return messages_[0].msg_hdr.msg_iovlen > 1; }

 private:
  static constexpr std::size_t capacity = most_segments;
  // Larger ones might not fit into the packets of the way, and the system refuses to cut into those that do
  // not; and a message is at most 64 KiB.
  static constexpr std::size_t most_size = 1400;
  static constexpr std::size_t most_bytes = 60 * 1024;

  // How many of these, which are not empty, can travel as one.
  static std::size_t run(std::span<const Datagram> datagrams) noexcept {
    const Datagram& first = datagrams.front();
    const std::size_t size = first.data.size();
    if (size == 0 || size > most_size) {
      return 1;
    }
    const std::size_t most = std::min(datagrams.size(), most_bytes / size);
    std::size_t count = 1;
    while (count != most && goes_with(first, datagrams[count])) {
      if (datagrams[count++].data.size() != size) {
        break;
      }
    }
    return count;
  }
  static bool goes_with(const Datagram& first, const Datagram& other) noexcept {
    const bool same =
        first.to == other.to || (first.to != nullptr && other.to != nullptr && *first.to == *other.to);
    return same && !other.data.empty() && other.data.size() <= first.data.size();
  }

  void cut(msghdr& message, std::size_t size) noexcept {
    auto& control = control_[count_];
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = IPPROTO_UDP;
    part->cmsg_type = UDP_SEGMENT;
    part->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto value = static_cast<std::uint16_t>(size);
    std::memcpy(CMSG_DATA(part), &value, sizeof value);
  }

  std::size_t count_, taken_;
  mmsghdr messages_[capacity];
  SystemAddress addresses_[capacity];
  iovec pieces_[capacity];
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t))> control_[capacity];
};

// The ways by which a system says that it does not cut, or not for this way or this size.
bool is_refusal_to_cut(std::int64_t error) noexcept {
  return error == -EINVAL || error == -EIO || error == -EMSGSIZE || error == -EOPNOTSUPP;
}

}  // namespace

std::int64_t PosixSockets::send_datagrams(native_socket native, std::span<const Datagram> datagrams,
                                          bool joined) noexcept {
  if (datagrams.size() == 1) {
    return send_one(native, datagrams.front(), send_flags);
  }
  OutgoingBatch batch;
  if (const std::int64_t error = batch.fill(datagrams, joined); error < 0) {
    return error;
  }
  const std::int64_t result = batch.send(native, send_flags);
  if (!is_refusal_to_cut(result) || !batch.is_first_joined()) {
    return result;
  }
  batch.fill(datagrams, false);
  return batch.send(native, send_flags);
}

#else

std::int64_t PosixSockets::send_datagrams(native_socket native, std::span<const Datagram> datagrams,
                                          bool) noexcept {
  std::int64_t sent = 0;
  for (const Datagram& datagram : datagrams) {
    if (const std::int64_t result = send_one(native, datagram, send_flags); result < 0) {
      return sent != 0 ? sent : result;
    }
    ++sent;
  }
  return sent;
}

#endif

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
