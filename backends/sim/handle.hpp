// What the simulator remembers about a socket that is attached or watched: who waits on it, in each
// direction.
#pragma once

#include "backends/backend.hpp"

#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

class SimBackend;

// Which direction of its handle an operation uses.
constexpr Direction direction_of(OpKind kind) noexcept {
  return kind == OpKind::connect || kind == OpKind::send || kind == OpKind::send_fds ||
                 kind == OpKind::send_to
             ? Direction::write
             : Direction::read;
}

struct BackendHandle {
  // One direction. Armed: was ready when the last poll looked, so the queued item is about it, and not about
  // a successor that came to wait here since.
  struct Side {
    Op* op = nullptr;
    Watch* watch = nullptr;
    bool op_armed = false;
    bool watch_armed = false;
  };

  Side& side(Direction direction) noexcept { return sides[static_cast<std::size_t>(direction)]; }
  const Side& side(Direction direction) const noexcept { return sides[static_cast<std::size_t>(direction)]; }
  bool is_watched() const noexcept { return sides[0].watch != nullptr || sides[1].watch != nullptr; }

  SimBackend* backend = nullptr;
  std::uint64_t generation = 0;  // grows when the handle is given back: what is queued for it then is void
  std::uint64_t socket_id = 0;
  native_socket number = invalid_socket;
  BackendHandle** owner = nullptr;
  Side sides[2];
  bool in_use = false;
  bool marked = false;
  bool transport = false;
  bool write_only = false;  // the writing end of a pipe: its read stream only sees the end
};

}  // namespace weir::inline WEIR_ABI::detail
