// ChildProcess: one child of this process, by a descriptor that stands for it (a pidfd, or the handle of a
// process) and no number that others may get. What nobody has seen end is killed and reaped by its
// destructor.
#pragma once

#include "runtime/fork.hpp"
#include "subprocess/spawn_plan.hpp"

#include <weir/net/file.hpp>

#include <array>
#include <cstdint>
#include <optional>

namespace weir::inline WEIR_ABI::detail {

// Ends a child whatever it does (SIGKILL).
inline constexpr int kill_signal = 9;
// What reap() says of a child that was ended so.
extern const int killed_returncode;

class ChildProcess {
 public:
  // Descriptors for the child.
  struct Given {
    std::array<native_file, 3> standard{};  // 0, 1 and 2; invalid_file: the parent's
    bool is_merged = false;                 // 2 is what 1 is
    native_file terminal = invalid_file;    // its controlling one
  };

  // Starts it. Throws std::system_error that names the step that failed; then there is no child.
  ChildProcess(const SpawnPlan& plan, const Given& given);
  ChildProcess(ChildProcess&&) noexcept = default;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess() { end(); }

  int pid() const noexcept { return pid_; }
  // Readable when the child has ended.
  native_file descriptor() const noexcept { return process_.native_handle(); }
  // How it ended, as SubprocessTransport::get_returncode() says it, and it is reaped; nothing while it runs.
  // Not asked again after that.
  std::optional<int> reap() noexcept;
  // Kills and reaps it. The descriptor is no longer watched. Again, or after forget(): nothing.
  void end() noexcept;
  // Gives the descriptor back, which is no longer watched. The child has been reaped.
  void forget() noexcept {
    process_.close();
    job_.close();
  }
  // Not in a child of fork(), to whom it is a brother that is neither killed nor waited for.
  bool is_ours() const noexcept { return parent_ == this_process(); }
  // 0 or a negated errno; -ENOTSUP for a signal that the system cannot send. The child must not have been
  // reaped.
  std::int64_t send_signal(int signal) const noexcept;

 private:
  File process_;
  File job_;                                   // of Windows: what the command of a shell has started
  [[maybe_unused]] bool leads_group_ = false;  // of Windows, too
  int pid_ = 0;
  unsigned parent_ = this_process();
};

}  // namespace weir::inline WEIR_ABI::detail
