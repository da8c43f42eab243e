// What closing a loop means for net/, and the list of transports.
#include "net/net_state.hpp"

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
                     state.resolver.reset();
                   }),
      state(owner) {}

StreamTransport* TransportList::after(const StreamTransport& transport) noexcept { return transport.next_; }

std::size_t TransportList::size() const noexcept {
  std::size_t count = 0;
  for (const StreamTransport* each = first_; each != nullptr; each = after(*each)) {
    ++count;
  }
  return count;
}

void TransportList::push(StreamTransport& transport) noexcept {
  transport.previous_ = nullptr;
  transport.next_ = first_;
  if (first_ != nullptr) {
    first_->previous_ = &transport;
  }
  first_ = &transport;
}

void TransportList::erase(StreamTransport& transport) noexcept {
  (transport.previous_ != nullptr ? transport.previous_->next_ : first_) = transport.next_;
  if (transport.next_ != nullptr) {
    transport.next_->previous_ = transport.previous_;
  }
  transport.previous_ = nullptr;
  transport.next_ = nullptr;
}

}  // namespace weir::inline WEIR_ABI::detail
