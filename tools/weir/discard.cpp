// `weir discard`: the other end of every speed test.
#include "tools/weir/verbs.hpp"

#include <weir/net/protocol.hpp>
#include <weir/policy.hpp>

namespace program {

namespace {

// The base class does all there is to do: it drops what arrives and closes at the end of the stream.
class DiscardProtocol final : public weir::Protocol {};

}  // namespace

weir::Coro<int> discard(const Serving& serving) {
  const ProtocolFactory factory = [] { return weir::make_ref<DiscardProtocol>(); };
  co_await serve_protocols(weir::get_running_loop(), serving, factory);
  co_return 0;
}

}  // namespace program
