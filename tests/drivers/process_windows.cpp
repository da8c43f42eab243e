// The limits of a process and the stacks of threads on Windows.
#include "tests/drivers/process.hpp"

#include <doctest/doctest.h>

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#include <process.h>
#include <cstdint>

namespace weir::testing {

// There is none, but each takes its time under Wine.
std::size_t descriptor_limit() { return 2048; }

void on_small_stack(const std::function<void()>& body) {
  constexpr unsigned stack_bytes = 512 * 1024;
  const auto call = [](void* argument) -> unsigned {
    (*static_cast<const std::function<void()>*>(argument))();
    return 0;
  };
  const std::uintptr_t thread =
      ::_beginthreadex(nullptr, stack_bytes, call, const_cast<std::function<void()>*>(&body),
                       STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
  REQUIRE(thread != 0);
  const HANDLE handle = reinterpret_cast<HANDLE>(thread);
  CHECK(::WaitForSingleObject(handle, INFINITE) == WAIT_OBJECT_0);
  ::CloseHandle(handle);
}

}  // namespace weir::testing
