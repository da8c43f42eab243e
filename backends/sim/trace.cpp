// Hashing and printing the trace of a world.
#include "backends/sim/trace.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr const char* kind_names[] = {
    "open",       "close",     "bind",      "listen",        "connect",   "accept",
    "send",       "receive",   "shutdown",  "syn",           "syn_ack",   "ack",
    "data",       "fin",       "reset",     "refuse",        "ready",     "late",
    "cancel",     "draw",      "advance",   "wait",          "partition", "heal",
    "clog",       "vanish",    "come_back", "hold",          "give_up",   "shortage",
    "clock_jump", "rare_path", "pass",      "send_datagram", "datagram",  "lose_datagram",
};
static_assert(std::size(kind_names) == static_cast<std::size_t>(TraceKind::lose_datagram) + 1);

}  // namespace

Trace::Trace(std::uint64_t seed) : seed_(seed), records_{} {
  const char* wanted = std::getenv("WEIR_SIM_TRACE");
  to_stderr_ = wanted != nullptr && std::strcmp(wanted, "1") == 0;
}

void Trace::mix(std::uint64_t word) noexcept { hash_ = std::rotl((hash_ ^ word) * 0x9e3779b97f4a7c15U, 29); }

void Trace::record(TimePoint at, TraceKind kind, std::uint64_t subject, std::uint64_t object,
                   std::int64_t size) noexcept {
  mix(static_cast<std::uint64_t>(at.time_since_epoch().count()));
  mix(static_cast<std::uint64_t>(kind));
  mix(subject);
  mix(object);
  mix(static_cast<std::uint64_t>(size));
  Record& record = records_[count_++ % kept];
  record = {at, subject, object, size, kind};
  if (to_stderr_) [[unlikely]] {
    std::fputs(line(record).c_str(), stderr);
  }
}

std::string Trace::line(const Record& record) {
  char text[128];
  std::snprintf(text, sizeof text, "%.9f %-10s %llu %llu %lld\n",
                std::chrono::duration<double>(record.at.time_since_epoch()).count(),
                kind_names[static_cast<std::size_t>(record.kind)],
                static_cast<unsigned long long>(record.subject),
                static_cast<unsigned long long>(record.object), static_cast<long long>(record.size));
  return text;
}

std::string Trace::text(std::size_t last) const {
  const std::uint64_t shown = std::min<std::uint64_t>({last, kept, count_});
  std::string text;
  for (std::uint64_t i = count_ - shown; i != count_; ++i) {
    text += line(records_[i % kept]);
  }
  return text;
}

}  // namespace weir::inline WEIR_ABI::detail
