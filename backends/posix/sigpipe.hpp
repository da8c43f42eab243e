// NoSigpipe: while it lives, a write to a pipe or connection that nobody reads fails with EPIPE and nothing
// else. For the calls that know no MSG_NOSIGNAL.
#pragma once

#include <weir/config.hpp>

#include <signal.h>

namespace weir::inline WEIR_ABI::detail {

// Blocks the signal on this thread, and takes it back where the call has raised it. Leaves errno alone.
class NoSigpipe {
 public:
  NoSigpipe() noexcept;
  ~NoSigpipe();
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;
  // The call failed with EPIPE: the signal waits.
  void raised() noexcept { raised_ = true; }

 private:
  sigset_t before_;
  bool was_pending_ = false;
  bool raised_ = false;
};

}  // namespace weir::inline WEIR_ABI::detail
