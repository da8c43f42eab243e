// ReleaseGuard: what `co_await x.lock()` gives, asyncio's `async with x`.
#pragma once

#include <weir/config.hpp>

#include <utility>

namespace weir::inline WEIR_ABI::detail {

// Releases what it holds when it is destroyed. Move-only; an empty one does nothing. It must not outlive the
// lock or semaphore, and lives on the loop's thread.
template <class Held>
class [[nodiscard("the guard releases when it is destroyed")]] ReleaseGuard {
 public:
  ReleaseGuard() noexcept = default;
  // Takes over what the caller has acquired.
  explicit ReleaseGuard(Held& held) noexcept : held_(&held) {}
  ReleaseGuard(ReleaseGuard&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  ReleaseGuard& operator=(ReleaseGuard&& other) noexcept {
    ReleaseGuard(std::move(other)).swap(*this);
    return *this;
  }
  ~ReleaseGuard() { release(); }

  // Releases now. Does nothing when it holds nothing, or when the lock was released behind its back.
  void release() noexcept {
    if (Held* const held = std::exchange(held_, nullptr)) {
      held->release_held();
    }
  }
  // Does it hold anything?
  explicit operator bool() const noexcept { return held_ != nullptr; }
  void swap(ReleaseGuard& other) noexcept { std::swap(held_, other.held_); }

 private:
  Held* held_ = nullptr;
};

}  // namespace weir::inline WEIR_ABI::detail
