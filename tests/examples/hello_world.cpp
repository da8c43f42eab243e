// Hello world with call_soon: a callback that prints and stops the loop (asyncio's "Hello World with
// call_soon()").
#include <weir/weir.hpp>

#include <cstdio>
#include <memory>

namespace {

void hello_world(weir::EventLoop& loop) {
  std::puts("Hello World");
  loop.stop();
}

}  // namespace

int main() {
  const std::unique_ptr<weir::EventLoop> loop = weir::new_event_loop();
  loop->call_soon([&loop] { hello_world(*loop); });
  loop->run_forever();  // until hello_world() stops it
}
