// LoopResource: an object that the loop must tell before it closes: transports, servers, pending executor
// jobs.
#pragma once

#include <weir/config.hpp>
#include <weir/fwd.hpp>

namespace weir::inline WEIR_ABI::detail {

// A link in the loop's list. It leaves the list by itself when it is destroyed. Loop's thread only.
struct LoopResource {
  // Called once by EventLoop::close(), when no operation is pending any more, after the resource was taken
  // out of the list. Also in a child of fork(), to whom the loop and what belongs to it is its parent's
  // (LoopAccess::is_inherited): then it only remembers not to look for the loop, nor to do anything to the
  // outside.
  using Closing = void (*)(LoopResource&) noexcept;

  LoopResource(EventLoop& owner, Closing closing) noexcept;
  LoopResource(const LoopResource&) = delete;
  LoopResource& operator=(const LoopResource&) = delete;
  ~LoopResource() { leave(); }

  void leave() noexcept;

  EventLoop* loop;
  Closing on_loop_close;
  LoopResource* previous = nullptr;
  LoopResource* next = nullptr;
  bool listed = false;
};

}  // namespace weir::inline WEIR_ABI::detail
