// Free lists by size class, one set a thread. Blocks are kept until the thread ends: memory stays at its
// peak.
#include <weir/detail/block_pool.hpp>

#include <cstdlib>
#include <utility>

#if defined(_WIN32)
#include <cxxabi.h>
#endif

namespace weir::inline WEIR_ABI::detail {

constinit thread_local BlockClass block_classes[block_class_count]{};
#if defined(_WIN32)
BlockClass* this_threads_blocks() noexcept { return block_classes; }

namespace {

// Where thread_local is emulated, its memory and the calls of its destructors are two keys of the thread,
// which end in the order in which they were made: the memory first, unless a destructor is asked for before
// anything is thread_local.
[[gnu::constructor(101)]] void end_threads_in_order() noexcept {
  abi::__cxa_thread_atexit([](void*) {}, nullptr, nullptr);
}

}  // namespace
#endif

namespace {

// Trivial, so that it can be used before and after every destructor of the thread.
enum class ThreadState : unsigned char { fresh, pooling, ended };
constinit thread_local ThreadState thread_state = ThreadState::fresh;

// Gives the blocks back when the thread ends; what is freed later goes straight to the heap.
struct Cleanup {
  ~Cleanup() {
    thread_state = ThreadState::ended;
    for (BlockClass& each : block_classes) {
      each.room = 0;
      while (each.free != nullptr) {
        std::free(std::exchange(each.free, each.free->next));
      }
    }
  }
};

void register_cleanup() noexcept {
  static thread_local Cleanup cleanup;
  static_cast<void>(cleanup);
  thread_state = ThreadState::pooling;
}

}  // namespace

void* allocate_new_block(std::size_t size) {
  const std::size_t size_class = block_class(size);
  const bool pooled = size_class < block_class_count;
  void* block = std::malloc(pooled ? size_class * block_granule : size);
  if (block == nullptr) {
    throw std::bad_alloc();
  }
  if (pooled && block_pool_is_on && thread_state != ThreadState::ended) {
    if (thread_state == ThreadState::fresh) [[unlikely]] {
      register_cleanup();
    }
    ++block_classes[size_class].room;
  }
  return block;
}

void free_to_heap(void* block) noexcept { std::free(block); }

}  // namespace weir::inline WEIR_ABI::detail
