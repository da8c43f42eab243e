// A future that another task sets, while this one waits for it (asyncio's "Future Object" example).
#include <weir/weir.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

namespace {

weir::Coro<void> set_after(weir::Future<std::string> future, std::chrono::milliseconds delay,
                           std::string value) {
  co_await weir::sleep(delay);
  future.set_result(std::move(value));
}

weir::Coro<void> say_hello() {
  weir::EventLoop& loop = weir::get_running_loop();

  auto future = loop.create_future<std::string>();
  loop.create_task(set_after(future, 100ms, "... world"));

  std::puts("hello ...");
  const std::string world = co_await future;
  std::puts(world.c_str());
}

}  // namespace

int main() { weir::run(say_hello()); }
