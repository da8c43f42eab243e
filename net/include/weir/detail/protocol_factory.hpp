// What may make protocols for create_connection and create_server.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/callback.hpp>
#include <weir/event_loop.hpp>
#include <weir/net/protocol.hpp>
#include <weir/ref.hpp>

#include <concepts>
#include <type_traits>

namespace weir::inline WEIR_ABI::detail {

using AnyProtocolFactory = UniqueFunction<Ref<BaseProtocol>()>;

template <class T>
inline constexpr bool is_protocol_ref = false;
template <std::derived_from<BaseProtocol> P>
inline constexpr bool is_protocol_ref<Ref<P>> = true;

// A callable that makes a protocol: it returns a Ref of a class that derives from Protocol or
// BufferedProtocol.
template <class F>
concept ProtocolFactory = std::invocable<std::decay_t<F>&> && is_protocol_ref<ProtocolRef<F>>;

}  // namespace weir::inline WEIR_ABI::detail
