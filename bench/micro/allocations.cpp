// Counts what a thread allocates, by standing in for malloc and its relatives: libraries in C, operator new
// and weir all end here. Freed memory is not counted.
#include "bench/micro/row.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
}

namespace {
constinit thread_local std::uint64_t allocated = 0;
}

extern "C" {

void* malloc(std::size_t size) {
  ++allocated;
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) {
  ++allocated;
  return __libc_calloc(count, size);
}

void* realloc(void* old, std::size_t size) {
  ++allocated;
  return __libc_realloc(old, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocated;
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  ++allocated;
  *result = __libc_memalign(alignment, size);
  return *result == nullptr ? ENOMEM : 0;
}
}

namespace bench {

std::uint64_t allocations_so_far() noexcept { return allocated; }

}  // namespace bench
