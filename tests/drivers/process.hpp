// What a process and its threads are allowed: how many descriptors, and how much stack.
#pragma once

#include <cstddef>
#include <functional>

namespace weir::testing {

// How many descriptors the system gives this process at most.
std::size_t descriptor_limit();

// Runs it on a thread of its own, on a stack of 512 KiB, and waits. Wine gives 1 MiB at least.
void on_small_stack(const std::function<void()>& body);

}  // namespace weir::testing
