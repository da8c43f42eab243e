// What happened in a world: a hash over every event, and the last of them to read.
#pragma once

#include "backends/backend.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace weir::inline WEIR_ABI::detail {

// The numbers enter the hash: append, do not reorder.
enum class TraceKind : std::uint8_t {
  open,
  close,
  bind,
  listen,
  connect,
  accept,
  send,
  receive,
  shutdown,  // calls
  syn,
  syn_ack,
  ack,
  data,
  fin,
  reset,
  refuse,  // arrivals
  ready,
  late,
  cancel,
  draw,
  advance,
  wait,  // the loop
  partition,
  heal,
  clog,
  vanish,
  come_back,
  hold,
  give_up,
  shortage,
  clock_jump,  // faults
  rare_path,   // of weir's own code
  pass,        // a socket sent as a descriptor, and received
  send_datagram,
  datagram,
  lose_datagram,  // datagrams
};

class Trace {
 public:
  explicit Trace(std::uint64_t seed);

  // subject and object are the ids of sockets (0: none), size whatever the kind counts, or a negated errno.
  void record(TimePoint at, TraceKind kind, std::uint64_t subject, std::uint64_t object,
              std::int64_t size) noexcept;

  std::uint64_t hash() const noexcept { return hash_; }
  std::uint64_t seed() const noexcept { return seed_; }
  std::string text(std::size_t last) const;

 private:
  struct Record {
    TimePoint at;
    std::uint64_t subject;
    std::uint64_t object;
    std::int64_t size;
    TraceKind kind;
  };
  static std::string line(const Record& record);
  void mix(std::uint64_t word) noexcept;

  static constexpr std::size_t kept = 256;

  std::uint64_t seed_;
  std::uint64_t hash_ = 0xcbf29ce484222325U;
  std::uint64_t count_ = 0;
  bool to_stderr_;
  std::array<Record, kept> records_;
};

}  // namespace weir::inline WEIR_ABI::detail
