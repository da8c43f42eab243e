// What a program outside weir sees: one dependency, one header, and a coroutine that runs.
#include <weir/weir.hpp>

#include <chrono>
#include <cstdio>

namespace {

weir::Coro<const char*> name_after(std::chrono::milliseconds delay) {
  co_await weir::sleep(delay);
  co_return weir::backend_name();
}

weir::Coro<void> main_task() {
  auto name = weir::create_task(name_after(std::chrono::milliseconds(1)), {.name = "name"});
  std::printf("weir %s on %s\n", weir::library_version(), co_await name);
}

}  // namespace

int main() {
  weir::run(main_task());
  return 0;
}
