// What closing a loop means for net/.
#include "net/net_state.hpp"

#include "net/datagram_endpoint.hpp"
#include "net/dns/resolver.hpp"
#include "net/server_state.hpp"
#include "net/stream_transport.hpp"
#include "runtime/loop_access.hpp"

namespace weir::inline WEIR_ABI::detail {

NetState::NetState(EventLoop& owner) noexcept : loop(owner), resource(*this) {}
NetState::~NetState() = default;

NetState& NetState::of(EventLoop& loop) {
  std::shared_ptr<NetState>& state = LoopAccess::net(loop);
  if (state == nullptr) [[unlikely]] {
    LoopAccess::check_open(loop, "network");
    state = std::make_shared<NetState>(loop);
  }
  return *state;
}

// Each of these lets go of users' objects, which may end others.
void NetState::loop_closed() noexcept {
  while (first_server != nullptr) {
    first_server->loop_closed();
  }
  while (!transports.empty()) {
    transports.front()->loop_closed();
  }
  while (!endpoints.empty()) {
    endpoints.front()->loop_closed();
  }
  resolver.reset();
}

void NetState::leave_to_parent() noexcept {
  while (first_server != nullptr) {
    first_server->leave_to_parent();
  }
  while (!transports.empty()) {
    transports.front()->leave_to_parent();
  }
  while (!endpoints.empty()) {
    endpoints.front()->leave_to_parent();
  }
}

NetState::Resource::Resource(NetState& owner) noexcept
    : LoopResource(owner.loop,
                   [](LoopResource& self) noexcept {
                     NetState& state = static_cast<Resource&>(self).state;
                     if (LoopAccess::is_inherited(state.loop)) {
                       state.leave_to_parent();
                     } else {
                       state.loop_closed();
                     }
                   }),
      state(owner) {}

}  // namespace weir::inline WEIR_ABI::detail
