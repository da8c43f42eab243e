// `weir discard`: the other end of every speed test.
#include "tools/weir/verbs.hpp"

#include <weir/net/protocol.hpp>
#include <weir/policy.hpp>

namespace program {

namespace {

// The base class does all there is to do: it drops what arrives and closes at the end of the stream.
class DiscardProtocol final : public weir::Protocol {};

class DiscardDatagrams final : public weir::DatagramProtocol {};

}  // namespace

weir::Coro<int> discard(const Serving& serving) {
  const ProtocolFactory factory = [] { return weir::make_ref<DiscardProtocol>(); };
  const DatagramFactory datagrams = [] { return weir::make_ref<DiscardDatagrams>(); };
  co_await serve_protocols(weir::get_running_loop(), serving, factory, {}, datagrams);
  co_return 0;
}

}  // namespace program
