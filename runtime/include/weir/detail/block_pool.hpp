// Size-classed free lists of a thread: where coroutine frames, futures, tasks and large callbacks come from,
// so that the steady state allocates nothing. Off under AddressSanitizer, which it would blind.
#pragma once

#include <weir/config.hpp>

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// Throws std::bad_alloc. A block may be freed on another thread than it was allocated on, and joins that
// thread's lists.
WEIR_API void* allocate_block(std::size_t size);
WEIR_API void free_block(void* block, std::size_t size) noexcept;

template <class T, class... Args>
T* new_block(Args&&... args) {
  static_assert(alignof(T) <= alignof(std::max_align_t));
  void* memory = allocate_block(sizeof(T));
  if constexpr (std::is_nothrow_constructible_v<T, Args...>) {
    return ::new (memory) T(std::forward<Args>(args)...);
  } else {
    try {
      return ::new (memory) T(std::forward<Args>(args)...);
    } catch (...) {
      free_block(memory, sizeof(T));
      throw;
    }
  }
}

template <class T>
void delete_block(T* object) noexcept {
  object->~T();
  free_block(object, sizeof(T));
}

}  // namespace weir::inline WEIR_ABI::detail
