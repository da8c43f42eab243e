// A clock with call_later: a callback that schedules itself, for five seconds (asyncio's "Display the current
// date with call_later()").
#include <weir/weir.hpp>

#include <chrono>
#include <cstdio>
#include <memory>

using namespace std::chrono_literals;

namespace {

void display_time(weir::EventLoop& loop, weir::TimePoint start, weir::TimePoint end) {
  std::printf("%.0f s\n", std::chrono::duration<double>(loop.time() - start).count());
  if (loop.time() + 1s < end) {
    loop.call_later(1s, [&loop, start, end] { display_time(loop, start, end); });
  } else {
    loop.stop();
  }
}

}  // namespace

int main() {
  const std::unique_ptr<weir::EventLoop> loop = weir::new_event_loop();
  const weir::TimePoint start = loop->time();
  loop->call_soon([&loop, start] { display_time(*loop, start, start + 5s); });
  loop->run_forever();
}
