// What a loop and its LoopGuest share.
#pragma once

#include "runtime/loop_resource.hpp"

#include <thread>

namespace weir::inline WEIR_ABI::detail {

// Attached as long as it is in the loop's list of resources; a loop that closes takes it out.
struct GuestState : LoopResource {
  explicit GuestState(EventLoop& owner) noexcept;

  std::thread::id thread = std::this_thread::get_id();
};

}  // namespace weir::inline WEIR_ABI::detail
