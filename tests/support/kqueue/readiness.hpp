// Part of a test double of kqueue(2): what the filters READ and WRITE say of a descriptor at this moment.
#pragma once

#include <cstdint>

namespace kqueue_double {

struct Condition {
  bool is_ready = false;
  bool is_ended = false;    // EV_EOF
  unsigned error = 0;       // the socket's, with EV_EOF
  std::int64_t amount = 0;  // bytes to read, connections to accept, room to write
};

Condition reading(int fd) noexcept;
Condition writing(int fd) noexcept;
// A pipe whose other end is gone: EVFILT_WRITE is refused.
bool is_broken_pipe(int fd) noexcept;

}  // namespace kqueue_double
