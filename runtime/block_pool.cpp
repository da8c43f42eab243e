// Free lists by size class, one set a thread. Blocks are kept until the thread ends: memory stays at its
// peak.
#include <weir/detail/block_pool.hpp>

#include <cstdint>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#define WEIR_NO_BLOCK_POOL 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_NO_BLOCK_POOL 1
#endif
#endif

namespace weir::inline WEIR_ABI::detail {
namespace {

#ifndef WEIR_NO_BLOCK_POOL

constexpr std::size_t granule = 32;
constexpr std::size_t class_count = 64;  // up to 2 KiB

struct FreeBlock {
  FreeBlock* next;
};

// Trivial, so that it can be used before and after every destructor of the thread.
// A thread keeps no more blocks of a class than it ever took from the heap: one that only frees what others
// allocated, as an executor's thread does, keeps none.
struct FreeLists {
  FreeBlock* lists[class_count];
  std::uint32_t kept[class_count];
  std::uint32_t taken[class_count];
  enum class State : unsigned char { new_thread, in_use, ended } state;
};
constinit thread_local FreeLists free_lists{};

// Gives the blocks back when the thread ends; what is freed later goes straight to the heap.
struct Cleanup {
  ~Cleanup() {
    free_lists.state = FreeLists::State::ended;
    for (FreeBlock*& list : free_lists.lists) {
      while (list != nullptr) {
        FreeBlock* block = list;
        list = block->next;
        std::free(block);
      }
    }
  }
};

void register_cleanup() noexcept {
  static thread_local Cleanup cleanup;
  static_cast<void>(cleanup);
  free_lists.state = FreeLists::State::in_use;
}

#endif

void* allocate_from_heap(std::size_t size) {
  void* block = std::malloc(size);
  if (block == nullptr) {
    throw std::bad_alloc();
  }
  return block;
}

}  // namespace

#ifdef WEIR_NO_BLOCK_POOL

void* allocate_block(std::size_t size) { return allocate_from_heap(size); }
void free_block(void* block, std::size_t) noexcept { std::free(block); }

#else

void* allocate_block(std::size_t size) {
  const std::size_t size_class = (size + granule - 1) / granule;
  if (size_class >= class_count) {
    return allocate_from_heap(size);
  }
  FreeLists& mine = free_lists;
  if (FreeBlock* block = mine.lists[size_class]) [[likely]] {
    mine.lists[size_class] = block->next;
    --mine.kept[size_class];
    return block;
  }
  ++mine.taken[size_class];
  return allocate_from_heap(size_class * granule);
}

void free_block(void* block, std::size_t size) noexcept {
  const std::size_t size_class = (size + granule - 1) / granule;
  FreeLists& mine = free_lists;
  if (size_class >= class_count) {
    std::free(block);
    return;
  }
  if (mine.state != FreeLists::State::in_use) [[unlikely]] {
    if (mine.state == FreeLists::State::ended) {
      std::free(block);
      return;
    }
    register_cleanup();
  }
  if (mine.kept[size_class] >= mine.taken[size_class]) [[unlikely]] {
    std::free(block);
    return;
  }
  ++mine.kept[size_class];
  auto* free = static_cast<FreeBlock*>(block);
  free->next = mine.lists[size_class];
  mine.lists[size_class] = free;
}

#endif

}  // namespace weir::inline WEIR_ABI::detail
