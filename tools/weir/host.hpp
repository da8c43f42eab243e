// What the program asks of the machine besides weir: its terminal and its limits. The only place with headers
// of the operating system.
#pragma once

#include <cstdint>
#include <optional>

namespace program {

// Does a person read what is written to stderr?
bool stderr_is_terminal() noexcept;

// How many descriptors this process may have open, and how many it could ask for; nothing where there is no
// such limit.
struct DescriptorLimit {
  std::uint64_t now;
  std::uint64_t most;
};
std::optional<DescriptorLimit> descriptor_limit() noexcept;

// Asks for as many descriptors as the system gives without privileges: a connection is one. It is no error
// when the system refuses.
void raise_descriptor_limit() noexcept;

// The number of connections that may wait to be accepted by one listening socket, where it is known.
std::optional<std::uint64_t> backlog_limit() noexcept;

}  // namespace program
