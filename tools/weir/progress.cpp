// Drawing the progress bar.
#include "tools/weir/progress.hpp"

#include "tools/weir/host.hpp"

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

namespace program {

ProgressBar::ProgressBar(weir::EventLoop& loop, std::size_t total, std::function<std::size_t()> done)
    : loop_(loop),
      total_(total),
      done_(std::move(done)),
      started_(loop.time()),
      shown_(stderr_is_terminal()) {
  if (shown_) {
    draw();
  }
}

ProgressBar::~ProgressBar() {
  next_.cancel();
  if (shown_) {
    std::fputs("\r\033[K", stderr);
  }
}

void ProgressBar::draw() {
  constexpr std::size_t width = 40;
  const std::size_t done = done_();
  const std::size_t filled = total_ == 0 ? width : done * width / total_;
  const double seconds = std::chrono::duration<double>(loop_.time() - started_).count();
  const std::string bar = std::string(filled, '#') + std::string(width - filled, '.');
  std::fprintf(stderr, "\r[%s] %zu of %zu, %.0f/s\033[K", bar.c_str(), done, total_,
               seconds > 0 ? static_cast<double>(done) / seconds : 0.0);
  std::fflush(stderr);
  next_ = loop_.call_later(std::chrono::milliseconds(100), [this] { draw(); });
}

}  // namespace program
