// What may make protocols for create_connection, create_server and create_datagram_endpoint.
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
inline constexpr bool is_protocol_ref<Ref<P>> = !std::derived_from<P, DatagramProtocol>;

// A callable that makes a protocol: it returns a Ref of a class that derives from Protocol or
// BufferedProtocol.
template <class F>
concept ProtocolFactory = std::invocable<std::decay_t<F>&> && is_protocol_ref<ProtocolRef<F>>;

template <class T>
inline constexpr bool is_datagram_protocol_ref = false;
template <std::derived_from<DatagramProtocol> P>
inline constexpr bool is_datagram_protocol_ref<Ref<P>> = true;

// A callable that makes a protocol for datagrams: it returns a Ref of a class that derives from
// DatagramProtocol.
template <class F>
concept DatagramProtocolFactory =
    std::invocable<std::decay_t<F>&> && is_datagram_protocol_ref<ProtocolRef<F>>;

}  // namespace weir::inline WEIR_ABI::detail
