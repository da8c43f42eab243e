// Keeps the calling thread on one core while it lives: two threads of a row are on two cores, not where the
// system happens to put them.
#pragma once

#include <pthread.h>
#include <sched.h>

namespace bench {

class OnCore {
 public:
  // Where there is no such core, nothing happens.
  explicit OnCore(int core) noexcept {
    ::pthread_getaffinity_np(::pthread_self(), sizeof before_, &before_);
    cpu_set_t wanted;
    CPU_ZERO(&wanted);
    CPU_SET(core, &wanted);
    ::pthread_setaffinity_np(::pthread_self(), sizeof wanted, &wanted);
  }
  OnCore(const OnCore&) = delete;
  ~OnCore() { ::pthread_setaffinity_np(::pthread_self(), sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

}  // namespace bench
