// Descriptors that travel over Unix sockets, and who is at the other end of one.
#include "backends/posix/call.hpp"
#include "backends/posix/sockets.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace weir::inline WEIR_ABI::detail {

namespace {

// Linux takes no more in one message (SCM_MAX_FD); other systems take fewer.
constexpr std::size_t most_fds = 253;

// Room for as many as can come, and for what else the socket may have been told to receive: what does not
// fit, the kernel would drop without saying how much. CMSG_SPACE would tell the size of the header and its
// padding, but is no constant on NetBSD.
struct Control {
  static constexpr std::size_t header = sizeof(cmsghdr) + 2 * alignof(std::max_align_t), others = 512;
  alignas(cmsghdr) std::array<char, header + most_fds * sizeof(int) + others> bytes;
};

#ifdef MSG_CMSG_CLOEXEC
constexpr int receive_flags = MSG_CMSG_CLOEXEC;
void set_close_on_exec(int) noexcept {}
#else
constexpr int receive_flags = 0;
void set_close_on_exec(int fd) noexcept { ::fcntl(fd, F_SETFD, FD_CLOEXEC); }
#endif

#if defined(__linux__)
using SystemCredentials = ucred;
#elif defined(__OpenBSD__)
using SystemCredentials = sockpeercred;
#endif

void take(const cmsghdr& header, FdBatch& out) noexcept {
  const std::size_t count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  const unsigned char* const data = CMSG_DATA(&header);
  for (std::size_t i = 0; i != count; ++i) {
    int fd = -1;
    std::memcpy(&fd, data + i * sizeof fd, sizeof fd);
    if (out.count == out.room.size()) {
      ::close(fd);
      out.lost = EMSGSIZE;
      continue;
    }
    set_close_on_exec(fd);
    out.room[out.count++] = fd;
  }
}

}  // namespace

std::int64_t PosixSockets::receive_fds(native_socket native, std::span<std::byte> into,
                                       FdBatch& fds) noexcept {
  Control control;
  iovec piece{into.data(), into.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  fds.count = 0;
  fds.lost = 0;
  const std::int64_t result = retried([&] {
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    return ::recvmsg(native, &message, receive_flags);
  });
  if (result < 0) {
    return result;
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    fds.lost = EMFILE;
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
      take(*header, fds);
    }
  }
  return result;
}

std::int64_t PosixSockets::send_fds(native_socket native, ConstBuffer data,
                                    std::span<const native_socket> fds) noexcept {
  if (fds.size() > most_fds) {
    return -EINVAL;
  }
  Control control;
  iovec piece{const_cast<std::byte*>(data.data()), data.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    const std::size_t size = CMSG_SPACE(fds.size_bytes());
    std::memset(control.bytes.data(), 0, size);
    message.msg_control = control.bytes.data();
    message.msg_controllen = size;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  return retried([&] { return ::sendmsg(native, &message, send_flags); });
}

std::int64_t PosixSockets::peer_credentials(native_socket native, PeerCredentials& out) noexcept {
  const std::int64_t its_family = family(native);
  if (its_family != static_cast<std::int64_t>(AddressFamily::unix_domain)) {
    return its_family < 0 ? its_family : -EOPNOTSUPP;
  }
#if defined(__linux__) || defined(__OpenBSD__)
  SystemCredentials found{};
  socklen_t length = sizeof found;
  if (::getsockopt(native, SOL_SOCKET, SO_PEERCRED, &found, &length) < 0) {
    return -errno;
  }
  if (found.pid == 0 && found.uid == static_cast<uid_t>(-1)) {
    return -ENOTCONN;  // what Linux says of nobody
  }
  out = {found.pid, found.uid, found.gid};
#else
  uid_t uid = 0;
  gid_t gid = 0;
  if (::getpeereid(native, &uid, &gid) < 0) {
    return -errno;
  }
  out = {-1, uid, gid};
#ifdef LOCAL_PEERPID
  pid_t pid = 0;
  socklen_t length = sizeof pid;
  if (::getsockopt(native, 0 /* SOL_LOCAL */, LOCAL_PEERPID, &pid, &length) == 0) {
    out.pid = pid;
  }
#endif
#endif
  return 0;
}

}  // namespace weir::inline WEIR_ABI::detail
