// Preloaded into a server: keeps the number of heap bytes in use (as malloc rounds them) in the file that the
// environment names in WEIR_BENCH_HEAP, where tools/bench reads it.
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* memory);
}

namespace {

std::atomic<std::int64_t> before_start;
std::atomic<std::int64_t>* in_use = &before_start;

void* counted(void* memory) {
  if (memory != nullptr) {
    in_use->fetch_add(static_cast<std::int64_t>(::malloc_usable_size(memory)), std::memory_order_relaxed);
  }
  return memory;
}

void forget(void* memory) {
  if (memory != nullptr) {
    in_use->fetch_sub(static_cast<std::int64_t>(::malloc_usable_size(memory)), std::memory_order_relaxed);
  }
}

[[gnu::constructor]] void open_counter() {
  const char* path = std::getenv("WEIR_BENCH_HEAP");
  const int file = path != nullptr ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) {
    return;
  }
  void* mapped = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped != MAP_FAILED) {
    auto* shared = static_cast<std::atomic<std::int64_t>*>(mapped);
    shared->store(before_start.load());
    in_use = shared;
  }
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) { return counted(__libc_malloc(size)); }

void* calloc(std::size_t count, std::size_t size) { return counted(__libc_calloc(count, size)); }

void* realloc(void* old, std::size_t size) {
  forget(old);
  void* memory = __libc_realloc(old, size);
  return counted(memory == nullptr && size != 0 ? old : memory) == memory ? memory : nullptr;
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return counted(__libc_memalign(alignment, size));
}

int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  *result = counted(__libc_memalign(alignment, size));
  return *result == nullptr ? ENOMEM : 0;
}

void free(void* memory) {
  forget(memory);
  __libc_free(memory);
}
}
