// Descriptors that travel over Unix stream sockets: Socket::send_fds and Socket::recv_fds (socket.send_fds,
// socket.recv_fds of Python, without the wait).
#pragma once

#include <weir/bytes.hpp>
#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/net/file.hpp>
#include <weir/net/socket.hpp>

#include <cstddef>
#include <vector>

namespace weir::inline WEIR_ABI {

// What Socket::recv_fds gives: bytes, and the descriptors that came with them, in the order in which they
// were sent. What they are of is not known here: `Socket::adopt(file.release())` takes one that is a socket.
// Move-only.
struct ReceivedDescriptors {
  ReceivedDescriptors() = default;
  ReceivedDescriptors(ReceivedDescriptors&&) noexcept = default;
  ReceivedDescriptors& operator=(ReceivedDescriptors&&) noexcept = default;

  Bytes data;
  std::vector<File> files;
};

// The most descriptors that one send_fds takes (Linux's SCM_MAX_FD).
inline constexpr std::size_t max_passed_descriptors = 253;

}  // namespace weir::inline WEIR_ABI
