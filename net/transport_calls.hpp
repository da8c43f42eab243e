// What every transport does with its protocol and its end, whatever it carries.
#pragma once

#include "runtime/loop_access.hpp"

#include <weir/context.hpp>
#include <weir/exception_context.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/transport.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// Throws std::invalid_argument unless a transport of bytes can serve the protocol.
inline void check_stream_protocol(const BaseProtocol& protocol, const char* call) {
  if (protocol.kind() != ProtocolKind::stream && protocol.kind() != ProtocolKind::buffered) {
    throw std::invalid_argument(std::string(call) + ": a Protocol or BufferedProtocol was expected");
  }
}
// The same for what a factory made.
inline void check_made(const Ref<BaseProtocol>& protocol) {
  if (protocol == nullptr) {
    throw std::invalid_argument("the protocol factory returned no protocol");
  }
  check_stream_protocol(*protocol, "the protocol factory");
}
// The same for set_protocol, which refuses null, too.
inline void check_new_protocol(const Ref<BaseProtocol>& protocol) {
  if (protocol == nullptr) {
    throw std::invalid_argument("set_protocol: the protocol is null");
  }
  check_stream_protocol(*protocol, "set_protocol");
}

inline void report_failure(BaseTransport& transport, BaseProtocol* protocol, std::string object,
                           const char* message, std::exception_ptr exception) noexcept {
  ExceptionContext context;
  context.message = message;
  context.exception = std::move(exception);
  context.transport = &transport;
  context.protocol = protocol;
  context.object = std::move(object);
  transport.get_loop().call_exception_handler(context);
}

// The calls that both kinds of protocol have, but BaseProtocol has not. What they throw comes through.
inline void call_connection_made(BaseProtocol& protocol, Ref<Transport> transport) {
  if (protocol.kind() == ProtocolKind::buffered) {
    static_cast<BufferedProtocol&>(protocol).connection_made(std::move(transport));
  } else {
    static_cast<Protocol&>(protocol).connection_made(std::move(transport));
  }
}
inline bool call_eof_received(BaseProtocol& protocol) {
  return protocol.kind() == ProtocolKind::buffered ? static_cast<BufferedProtocol&>(protocol).eof_received()
                                                   : static_cast<Protocol&>(protocol).eof_received();
}

// pause_writing or resume_writing: `report` is told of the exception that it throws. The protocol is held: it
// may be replaced while it is called.
template <class Report>
void call_flow_control(Ref<BaseProtocol> protocol, Context& context, void (BaseProtocol::*call)(),
                       Report report) noexcept {
  try {
    const ContextScope scope(context);
    (*protocol.*call)();
  } catch (...) {
    report(std::current_exception());
  }
}

// connection_lost comes in a later turn: `run` gets the error as its first word.
inline void push_lost(EventLoop& loop, ReadyItem::Function run, void* transport, std::exception_ptr error) {
  auto* boxed = error ? new std::exception_ptr(std::move(error)) : nullptr;
  LoopAccess::ready(loop).push(run, transport, reinterpret_cast<std::uintptr_t>(boxed));
}
// What push_lost() got; once.
inline std::exception_ptr unbox_lost(std::uintptr_t error) noexcept {
  const std::unique_ptr<std::exception_ptr> boxed(reinterpret_cast<std::exception_ptr*>(error));
  return boxed != nullptr ? std::move(*boxed) : nullptr;
}

}  // namespace weir::inline WEIR_ABI::detail
