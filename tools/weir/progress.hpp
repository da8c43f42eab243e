// ProgressBar: one line on stderr that a person watches. Owns the line and the timer that redraws it.
#pragma once

#include <weir/event_loop.hpp>

#include <cstddef>
#include <functional>

namespace program {

// Draws `done()` of `total` ten times a second until it is destroyed, which wipes the line. Does nothing when
// stderr is not a terminal. Used on the loop's thread.
class ProgressBar {
 public:
  ProgressBar(weir::EventLoop& loop, std::size_t total, std::function<std::size_t()> done);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();

 private:
  void draw();

  weir::EventLoop& loop_;
  std::size_t total_;
  std::function<std::size_t()> done_;
  weir::TimePoint started_;
  weir::TimerHandle next_;
  bool shown_;
};

}  // namespace program
