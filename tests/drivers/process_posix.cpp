// The limits of a process and the stacks of threads on POSIX.
#include "tests/drivers/process.hpp"

#include <doctest/doctest.h>

#include <pthread.h>
#include <sys/resource.h>
#include <algorithm>
#include <limits>

namespace weir::testing {

std::size_t descriptor_limit() {
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int>::max()));
}

void on_small_stack(const std::function<void()>& body) {
  constexpr std::size_t stack_bytes = 512 * 1024;
  pthread_attr_t attributes;
  REQUIRE(::pthread_attr_init(&attributes) == 0);
  REQUIRE(::pthread_attr_setstacksize(&attributes, stack_bytes) == 0);
  pthread_t thread;
  const auto call = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  REQUIRE(::pthread_create(&thread, &attributes, call, const_cast<std::function<void()>*>(&body)) == 0);
  ::pthread_join(thread, nullptr);
  ::pthread_attr_destroy(&attributes);
}

}  // namespace weir::testing
