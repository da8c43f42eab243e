// OverlappedOperations: the operations that the system does by itself, without being asked whether it could:
// connecting, and sending what a socket had no room for.
#pragma once

#include "backends/iocp/request.hpp"
#include "backends/readiness/poller.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class OverlappedOperations {
 public:
  // As IsPoller's submit(), on a socket that belongs to the port.
  Submitted submit(Op& op) noexcept;
  // Asks the system to end it; its packet still comes.
  void withdraw(Op& op) noexcept;
  // What became of a request whose packet has come.
  Completed take(SystemRequest& request, std::int32_t status, std::uint32_t bytes) noexcept;
  std::size_t in_flight() const noexcept { return in_flight_; }

 private:
  struct Pending : SystemRequest {
    Pending() noexcept : SystemRequest(RequestKind::operation) {}
    Op* op = nullptr;
    native_socket native = invalid_socket;
  };

  Pending* acquire(Op& op) noexcept;
  Submitted submit_connect(ConnectOp& op) noexcept;
  Submitted submit_send(SendOp& op) noexcept;
  Submitted submit_send_to(SendToOp& op) noexcept;
  // After the call: `failed` unless it succeeded at once.
  Submitted submitted(Pending& pending, bool failed) noexcept;

  std::vector<std::unique_ptr<Pending>> all_;
  std::vector<Pending*> free_;
  std::size_t in_flight_ = 0;
};

}  // namespace weir::inline WEIR_ABI::detail
