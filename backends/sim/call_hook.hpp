// A door for tests: somebody who is asked before each call into the simulated network, and who may make it
// fail or move fewer bytes. Chance has no part in it; what the seed decides stands in network.cpp.
#pragma once

#include <weir/config.hpp>

#include <cstddef>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

enum class NetworkCall : std::uint8_t {
  open,
  open_pair,
  bind,
  listen,
  connect,
  finish_connect,
  accept,
  send,
  receive,
  shutdown,
  set_option,
  get_option,
  open_pipe,
  send_file,
};

struct CallVerdict {
  int error = 0;                // an errno: the call does nothing and fails with it
  std::size_t most = SIZE_MAX;  // of send and receive: moves at most so many bytes
};

using CallHook = CallVerdict (*)(NetworkCall call) noexcept;

// The thread's hook; null for nobody.
inline CallHook& call_hook() noexcept {
  static constinit thread_local CallHook hook = nullptr;
  return hook;
}

inline CallVerdict ask_call_hook(NetworkCall call) noexcept {
  const CallHook hook = call_hook();
  return hook == nullptr ? CallVerdict{} : hook(call);
}

}  // namespace weir::inline WEIR_ABI::detail
