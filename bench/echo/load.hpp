// What the load generator's works share: what is asked for, how long it goes on, and what is said of it.
#pragma once

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <vector>

namespace bench {

enum class Work { echo, one_way, idle, datagrams, churn, tls, tls_full, tls_resumed };

struct Plan {
  Work work = Work::echo;
  int port = 0;
  std::size_t connections = 1;
  std::size_t size = 64;
  std::size_t depth = 1;
  std::size_t count = 0;  // 0: as long as `seconds` says
  double seconds = 1;
  std::size_t echoes = 0;  // with idle: messages each connection sends before it idles
};

inline std::int64_t now() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

[[noreturn]] inline void fail(const char* why) {
  std::fprintf(stderr, "load: %s\n", why);
  std::exit(1);
}

inline std::vector<char> make_message(std::size_t size) {
  std::vector<char> message(size);
  for (std::size_t i = 0; i != size; ++i) {
    message[i] = static_cast<char>('a' + i % 23);
  }
  return message;
}

// Latencies in buckets of 1/32 of their size: from nanoseconds to minutes in a few kilobytes.
class Histogram {
 public:
  void add(std::int64_t nanoseconds) noexcept {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds, 0)) + 32;
    const int shift = std::bit_width(value) - 6;
    ++buckets_[static_cast<std::size_t>(shift) * 32 + (value >> shift) - 32];
    ++count_;
  }
  // In microseconds.
  double percentile(double part) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(part * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i != std::size(buckets_); ++i) {
      seen += buckets_[i];
      if (seen > wanted) {
        return (static_cast<double>((i % 32 + 32) << (i / 32)) - 32) / 1000;
      }
    }
    return 0;
  }

 private:
  std::uint64_t buckets_[64 * 32] = {};
  std::uint64_t count_ = 0;
};

// Messages begun and completed, until there are enough or the time is over and none is in flight.
class Run {
 public:
  explicit Run(const Plan& plan) : plan_(plan) {}

  // Once everything is connected.
  void start() noexcept {
    started_ = now();
    end_ = plan_.count != 0 ? INT64_MAX : started_ + static_cast<std::int64_t>(plan_.seconds * 1e9);
  }
  // False: no more. Else one more is in flight.
  bool begin() noexcept {
    if (plan_.count != 0 ? begun_ == plan_.count : is_late_) {
      return false;
    }
    ++begun_;
    return true;
  }
  // `begun_at`: when the message was begun.
  void complete(std::int64_t begun_at) noexcept {
    const std::int64_t time = now();
    latencies_.add(time - begun_at);
    is_late_ = is_late_ || time >= end_;
    ++done_;
  }
  std::int64_t look_at_clock() noexcept {
    const std::int64_t time = now();
    is_late_ = is_late_ || time >= end_;
    return time;
  }
  // One way, what the system has not taken when the time is over is not waited for.
  bool is_over() const noexcept {
    return plan_.count != 0 ? done_ == plan_.count
                            : is_late_ && (done_ == begun_ || plan_.work == Work::one_way);
  }
  void count_loss() noexcept { ++lost_; }

  // One line of JSON.
  void print() const {
    const double seconds = static_cast<double>(now() - started_) / 1e9;
    const double rate = static_cast<double>(done_) / seconds;
    std::printf("{\"requests\": %zu, \"seconds\": %.6f, \"rate\": %.1f, \"bytes_per_second\": %.0f, ", done_,
                seconds, rate, rate * static_cast<double>(plan_.size));
    if (plan_.work == Work::datagrams) {
      std::printf("\"lost\": %zu, ", lost_);
    }
    std::printf("\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f}\n", latencies_.percentile(0.5),
                latencies_.percentile(0.9), latencies_.percentile(0.99), latencies_.percentile(0.999));
    std::fflush(stdout);
  }

 private:
  const Plan plan_;
  std::int64_t started_ = 0;
  std::int64_t end_ = 0;
  Histogram latencies_;
  std::size_t begun_ = 0;
  std::size_t done_ = 0;
  std::size_t lost_ = 0;
  bool is_late_ = false;
};

void run_datagrams(const Plan& plan);   // load_datagrams.cpp
void run_churn(const Plan& plan);       // load_churn.cpp
void run_tls(const Plan& plan);         // load_tls.cpp
void run_handshakes(const Plan& plan);  // load_handshakes.cpp

}  // namespace bench
