// Calls into the network that fail, or move few bytes, on order. Under sim the simulator asks before each
// call; elsewhere the linker puts a wrapper around each system call (see meson.build). Only one at a time.
#pragma once

#include <weir/config.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace weir::testing {

// What is to become of one of the calls that weir makes from here on.
struct CallFault {
  std::uint64_t at = UINT64_MAX;  // which call, from 0
  std::size_t error = 0;          // which of the errors that its manual lists, from 0
  bool for_ever = false;          // that one and all later ones of the same name
  bool data_only = false;         // count the calls that move bytes, and no others
  std::size_t most = 0;           // if not 0: no error, but move at most so many bytes
  std::uint64_t one_in = 0;       // if not 0: instead of one call, about one in so many, by this chance:
  std::uint64_t seed = 1;
};

class FaultyCalls {
 public:
  explicit FaultyCalls(const CallFault& fault) noexcept;
  FaultyCalls(const FaultyCalls&) = delete;
  FaultyCalls& operator=(const FaultyCalls&) = delete;
  ~FaultyCalls();

  // No call fails any more; counting ends as well.
  static void stop() noexcept;
  // How many calls there were so far.
  static std::uint64_t count() noexcept;
  // Was the call reached? Which one was it, and how many errors does its manual list?
  static bool reached() noexcept;
  static const char* name() noexcept;
  static std::size_t error_count() noexcept;
  // "connect fails with ECONNREFUSED", for messages.
  static std::string describe();
  // The errno that it got, or 0.
  static int error() noexcept;

  // For the two doors: the errno that this call must fail with, or 0. `most`: how many bytes it may move, or
  // null when it moves none.
  static int ask(const char* name, std::span<const int> errors, std::size_t* most) noexcept;
};

// Can a call be made to move fewer bytes? Not in front of a real kernel: a short read means there that no
// more has arrived, and a short write that there is no more room.
bool can_cut_calls() noexcept;

}  // namespace weir::testing
