// A build without TLS: nobody can make an SSLContext, so nothing but the planning of none is ever reached.
#include "net/tls/tls.hpp"

#include <weir/exceptions.hpp>

namespace weir::inline WEIR_ABI::detail {

namespace {

[[noreturn]] void refuse(const char* call) { throw NotSupportedError(call, "tls"); }

}  // namespace

std::shared_ptr<const TlsPlan> plan_tls(const TlsArguments& arguments) {
  if (arguments.context != nullptr || arguments.server_hostname || arguments.handshake_timeout ||
      arguments.shutdown_timeout || arguments.session != nullptr) {
    refuse(arguments.call);
  }
  return nullptr;
}
Ref<BaseProtocol> encrypt(EventLoop&, Ref<BaseProtocol>, const TlsPlan&, Context, TlsStart) {
  refuse("encrypt");
}
Coro<Ref<Transport>> encrypted(Ref<BaseProtocol>) { refuse("encrypted"); }
bool close_encrypted(BaseProtocol&) noexcept { return false; }
bool can_carry_tls(const Transport&) noexcept { return false; }
bool is_encrypted(const Transport&) noexcept { return false; }
void check_encrypted_file(const Transport&) {}
Coro<std::uint64_t> send_encrypted_file(Ref<Transport>, FilePart) { refuse("sendfile"); }

}  // namespace weir::inline WEIR_ABI::detail
