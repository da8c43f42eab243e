// Memory that a process has, to see what it costs those that it starts.
#pragma once

#include <sys/mman.h>
#include <cstddef>
#include <new>

namespace bench {

class Resident {
 public:
  explicit Resident(std::size_t size) : size_(size) {
    if (size_ != 0) {
      memory_ =
          ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
      if (memory_ == MAP_FAILED) {
        throw std::bad_alloc();
      }
    }
  }
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;
  ~Resident() {
    if (size_ != 0) {
      ::munmap(memory_, size_);
    }
  }

 private:
  std::size_t size_;
  void* memory_ = nullptr;
};

// What a row needs to be one of the two of its kind: `Spawn(count)` with 2 GiB beside it.
template <class Spawn>
class WithMuch : Resident, public Spawn {
 public:
  explicit WithMuch(std::size_t count) : Resident(std::size_t{2} << 30), Spawn(count) {}
};

}  // namespace bench
