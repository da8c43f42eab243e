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

NetState::Resource::Resource(NetState& owner) noexcept
    : LoopResource(owner.loop,
                   [](LoopResource& self) noexcept {
                     NetState& state = static_cast<Resource&>(self).state;
                     // Each of these lets go of users' objects, which may end others.
                     while (state.first_server != nullptr) {
                       state.first_server->loop_closed();
                     }
                     while (!state.transports.empty()) {
                       state.transports.front()->loop_closed();
                     }
                     while (!state.endpoints.empty()) {
                       state.endpoints.front()->loop_closed();
                     }
                     state.resolver.reset();
                   }),
      state(owner) {}

}  // namespace weir::inline WEIR_ABI::detail
