// Size-classed free lists of a thread: where coroutine frames, futures, tasks and large callbacks come from,
// so that the steady state allocates nothing. Off under AddressSanitizer, which it would blind.
#pragma once

#include <weir/config.hpp>

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool block_pool_is_on = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool block_pool_is_on = false;
#else
inline constexpr bool block_pool_is_on = true;
#endif
#else
inline constexpr bool block_pool_is_on = true;
#endif

struct FreeBlock {
  FreeBlock* next;
};

// The free blocks of one size. A thread keeps no more blocks of a class than it took from the heap: one that
// only frees what others allocated, as an executor's thread does, keeps none.
struct BlockClass {
  FreeBlock* free;
  std::size_t room;  // how many more it may keep
};

inline constexpr std::size_t block_granule = 32;
inline constexpr std::size_t block_class_count = 64;  // up to 2 KiB
inline constexpr std::size_t block_class(std::size_t size) noexcept {
  return (size + block_granule - 1) / block_granule;
}

#if defined(_WIN32)
WEIR_API BlockClass* this_threads_blocks() noexcept;
#else
extern WEIR_API constinit thread_local BlockClass block_classes[block_class_count];
inline BlockClass* this_threads_blocks() noexcept { return block_classes; }
#endif
WEIR_API void* allocate_new_block(std::size_t size);
WEIR_API void free_to_heap(void* block) noexcept;

// Throws std::bad_alloc. A block may be freed on another thread than it was allocated on, and joins that
// thread's lists.
inline void* allocate_block(std::size_t size) {
  if (const std::size_t number = block_class(size); number < block_class_count) [[likely]] {
    BlockClass& mine = this_threads_blocks()[number];
    if (mine.free != nullptr) [[likely]] {
      ++mine.room;
      return std::exchange(mine.free, mine.free->next);
    }
  }
  return allocate_new_block(size);
}

inline void free_block(void* block, std::size_t size) noexcept {
  if (const std::size_t number = block_class(size); number < block_class_count) [[likely]] {
    BlockClass& mine = this_threads_blocks()[number];
    if (mine.room != 0) [[likely]] {
      --mine.room;
      mine.free = ::new (block) FreeBlock{mine.free};
      return;
    }
  }
  free_to_heap(block);
}

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
