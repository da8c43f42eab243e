// SystemRequest: what the system works on for a socket, from the call until its packet comes out of the port.
// Its memory stays in place until then, whatever becomes of the socket.
#pragma once

#include "backends/windows/winsock.hpp"

#include <weir/config.hpp>

#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

enum class RequestKind : std::uint8_t { probe, operation };

struct SystemRequest {
  explicit SystemRequest(RequestKind its_kind) noexcept : kind(its_kind) {}

  // Of a packet whose handle is a socket.
  static SystemRequest& of(const OVERLAPPED_ENTRY& packet) noexcept {
    return *reinterpret_cast<SystemRequest*>(packet.lpOverlapped);
  }

  OVERLAPPED system{};  // first: the packet points at it
  const RequestKind kind;
};

}  // namespace weir::inline WEIR_ABI::detail
