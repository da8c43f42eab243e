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
  // The call took less than all, so that it may have raised the signal: also one that took something and then
  // met the end, which Linux does not tell.
  void may_be_raised() noexcept { may_be_raised_ = true; }

 private:
  sigset_t before_;
  bool was_pending_ = false;
  bool may_be_raised_ = false;
};

}  // namespace weir::inline WEIR_ABI::detail
