// Calls on sockets and interfaces past weir, for tests in which somebody else is quicker. None waits.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/raw_address.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace weir::testing {

// A connection that waited, or invalid_socket; the caller's to close.
native_socket raw_accept(native_socket listening);
void raw_close(native_socket native);
// How many bytes were there, or -1.
std::ptrdiff_t raw_receive(native_socket native, std::span<char> into);
// Who sent a datagram, as the system says it.
struct RawPeer {
  alignas(std::max_align_t) std::byte address[64];
  int size = 0;
};
// The same of a datagram, whose sender it tells; and one to somebody: was all of it sent?
std::ptrdiff_t raw_receive_from(native_socket native, std::span<char> into, RawPeer& peer);
bool raw_send_to(native_socket native, std::string_view text, const RawPeer& peer);
// Does a call return where it would have to wait? Of a connection to which nothing was sent.
bool is_non_blocking(native_socket native);
// The number of the machine's loopback interface; 0 when there is none.
std::uint32_t loopback_interface();

}  // namespace weir::testing
