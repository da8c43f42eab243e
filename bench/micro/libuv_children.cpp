// libuv: children.
#include "bench/micro/resident.hpp"
#include "bench/micro/row.hpp"

#include <uv.h>

#include <array>
#include <cstdint>
#include <cstdlib>

namespace {

class Spawn {
 public:
  explicit Spawn(std::size_t count) : count_(count) { uv_loop_init(&loop_); }
  Spawn(const Spawn&) = delete;
  ~Spawn() { uv_loop_close(&loop_); }

  void run(bench::Meter& meter) {
    left_ = count_;
    meter.start();
    start();
    uv_run(&loop_, UV_RUN_DEFAULT);
    meter.stop();
  }

 private:
  void start() {
    char program[] = "/bin/true";
    char* args[] = {program, nullptr};
    std::array<uv_stdio_container_t, 3> stdio{};
    for (std::size_t fd = 0; fd != stdio.size(); ++fd) {
      stdio[fd].flags = UV_INHERIT_FD;
      stdio[fd].data.fd = static_cast<int>(fd);
    }
    uv_process_options_t options{};
    options.file = program;
    options.args = args;
    options.stdio = stdio.data();
    options.stdio_count = stdio.size();
    options.exit_cb = [](uv_process_t* process, std::int64_t status, int) {
      if (status != 0) {
        std::abort();
      }
      uv_close(reinterpret_cast<uv_handle_t*>(process), &closed);
    };
    process_.data = this;
    if (uv_spawn(&loop_, &process_, &options) != 0) {
      std::abort();
    }
  }
  static void closed(uv_handle_t* process) {
    auto& self = *static_cast<Spawn*>(process->data);
    if (--self.left_ != 0) {
      self.start();
    }
  }

  uv_loop_t loop_;
  uv_process_t process_;
  std::size_t count_;
  std::size_t left_ = 0;
};

const bench::Row<Spawn> proc_spawn("proc_spawn/libuv", 200);
const bench::Row<bench::WithMuch<Spawn>> proc_spawn_2gib("proc_spawn_2gib/libuv", 2);

}  // namespace
