// The door to the simulator's network: its hook, with the errors that each call can have there.
#include "backends/sim/call_hook.hpp"
#include "tests/drivers/calls.hpp"

#include <cerrno>

namespace weir::testing {

namespace {

constexpr int of_open[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
constexpr int of_bind[] = {EADDRINUSE, EACCES, EADDRNOTAVAIL};
constexpr int of_listen[] = {EADDRINUSE};
constexpr int of_connect[] = {ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, EACCES};
constexpr int of_finish_connect[] = {ECONNREFUSED, ETIMEDOUT, ECONNRESET, EHOSTUNREACH};
constexpr int of_accept[] = {ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM};
constexpr int of_send[] = {EPIPE, ECONNRESET, ENOBUFS, ENOMEM, ETIMEDOUT};
constexpr int of_receive[] = {ECONNRESET, ETIMEDOUT, ENOMEM, ENOBUFS};
constexpr int of_shutdown[] = {ENOTCONN, ENOBUFS};
constexpr int of_send_file[] = {EIO, ENOTSUP};
constexpr int of_option[] = {ENOPROTOOPT, ENOMEM, EINVAL};

int ask(const char* name, std::span<const int> errors) noexcept {
  return FaultyCalls::ask(name, errors, nullptr);
}

detail::CallVerdict moving(const char* name, std::span<const int> errors) noexcept {
  detail::CallVerdict verdict;
  verdict.error = FaultyCalls::ask(name, errors, &verdict.most);
  return verdict;
}

detail::CallVerdict verdict_of(detail::NetworkCall call) noexcept {
  using enum detail::NetworkCall;
  switch (call) {
    case open:
      return {ask("open", of_open)};
    case open_pair:
      return {ask("open_pair", of_open)};
    case send_file:
      return {ask("sendfile", of_send_file)};
    case open_pipe:
      return {ask("pipe", of_open)};
    case bind:
      return {ask("bind", of_bind)};
    case listen:
      return {ask("listen", of_listen)};
    case connect:
      return {ask("connect", of_connect)};
    case finish_connect:
      return {ask("finish_connect", of_finish_connect)};
    case accept:
      return {ask("accept", of_accept)};
    case send:
      return moving("send", of_send);
    case receive:
      return moving("receive", of_receive);
    case shutdown:
      return {ask("shutdown", of_shutdown)};
    case set_option:
      return {ask("set_option", of_option)};
    case get_option:
      return {ask("get_option", of_option)};
  }
  return {};
}

const struct Installed {
  Installed() noexcept { detail::call_hook() = &verdict_of; }
} installed;

}  // namespace

bool can_cut_calls() noexcept { return true; }

}  // namespace weir::testing
