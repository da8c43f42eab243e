// Which loop runs in this thread, and the ready items that runtime/ itself queues.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/ready_queue.hpp>
#include <weir/fwd.hpp>

namespace weir::inline WEIR_ABI::detail {

// The loop that runs in this thread, or null.
EventLoop*& running_loop_slot() noexcept;

// Ready items: a due timer {slot, ticket}, a suspended task, a callback with its context, a callback posted
// by another thread.
void run_timer(void* object, std::uintptr_t first, std::uintptr_t second, ReadyAction action);
void run_task(void* object, std::uintptr_t first, std::uintptr_t second, ReadyAction action);
void run_scheduled(void* object, std::uintptr_t first, std::uintptr_t second, ReadyAction action);
void run_posted(void* object, std::uintptr_t first, std::uintptr_t second, ReadyAction action);

}  // namespace weir::inline WEIR_ABI::detail
