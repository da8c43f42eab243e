// Every loop of the process, by its anchor. Private to runtime/.
#pragma once

#include <weir/config.hpp>
#include <weir/fwd.hpp>
#include <weir/handle.hpp>

#include <cstdint>
#include <mutex>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// Anchors are never given back, so that a handle may look at its own at any time; a loop that ends leaves its
// to another one. Any thread.
class Loops {
 public:
  LoopAnchor* enter(EventLoop& loop);
  void leave(LoopAnchor* anchor) noexcept;

  // fork() waits for it.
  std::mutex& mutex() noexcept { return mutex_; }
  // In a child of fork(), whose thread has the mutex: those that are here are its parent's.
  void leave_to_parent() noexcept;

 private:
  std::mutex mutex_;
  std::vector<LoopAnchor*> anchors_;
  std::vector<LoopAnchor*> free_;  // has room for all of them
  std::uint64_t last_number_ = 0;
};

Loops& all_loops();

}  // namespace weir::inline WEIR_ABI::detail
