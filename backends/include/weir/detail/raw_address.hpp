// The neutral form of a socket address that crosses the seam to a backend. weir::Address (net/) is what users
// see.
#pragma once

#include <weir/config.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::inline WEIR_ABI {

// The platform's handle of a socket or descriptor: an int on POSIX and under sim, a SOCKET on Windows.
#ifdef _WIN32
using native_socket = std::uintptr_t;
inline constexpr native_socket invalid_socket = ~static_cast<native_socket>(0);
#else
using native_socket = int;
inline constexpr native_socket invalid_socket = -1;
#endif

// The same of a file or the end of a pipe: an int, or a HANDLE.
using native_file = native_socket;
inline constexpr native_file invalid_file = invalid_socket;

// What a file is opened for: Python's "r", "w" (made, or emptied), "a" (made; every write goes to the end),
// and reading and writing what is there (made when it is not).
enum class FileMode : std::uint8_t { read, write, append, read_write };

// What a descriptor stands for.
enum class FileKind : std::uint8_t { regular, directory, pipe, character_device, socket, other };

// AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX. (The last has a longer name because compilers that are not asked for
// strict C++ define `unix`.)
enum class AddressFamily : std::uint16_t { unspecified, inet, inet6, unix_domain };

// SOCK_STREAM, SOCK_DGRAM.
enum class SocketType : std::uint8_t { stream, datagram };

// Who is at the other end of a Unix connection: the process and user that connected or listened
// (SO_PEERCRED). pid is -1 where the system does not tell it.
struct PeerCredentials {
  std::int64_t pid = -1;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  friend bool operator==(const PeerCredentials&, const PeerCredentials&) = default;
};

namespace detail {

// An IP address in network byte order (the first 4 bytes for inet) with a port in host byte order, or a path.
struct RawAddress {
  static constexpr std::size_t most_path = 108;  // Linux's sun_path; some systems have less

  std::string_view path_view() const noexcept { return {path.data(), path_size}; }
  // Is it the path of a file: neither an abstract name nor none?
  bool is_file() const noexcept { return path_size != 0 && path.front() != '\0'; }

  AddressFamily family = AddressFamily::unspecified;
  std::uint16_t port = 0;
  std::uint32_t scope_id = 0;
  std::uint32_t flow = 0;  // of inet6: traffic class and flow label
  std::array<std::uint8_t, 16> ip{};
  // For unix_domain: a path without its NUL, or an abstract name, which begins with NUL; empty when unnamed.
  std::uint8_t path_size = 0;
  std::array<char, most_path> path{};

  // By hand, because the place for a path is most of it, and each datagram is compared with the one before.
  friend bool operator==(const RawAddress& a, const RawAddress& b) noexcept {
    return a.family == b.family && a.port == b.port && a.ip == b.ip && a.scope_id == b.scope_id &&
           a.flow == b.flow && a.path_view() == b.path_view();
  }
};

}  // namespace detail
}  // namespace weir::inline WEIR_ABI
