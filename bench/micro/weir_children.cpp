// weir: children, by protocols and by coroutines.
#include "bench/micro/resident.hpp"
#include "bench/micro/row.hpp"

#include <weir/event_loop.hpp>
#include <weir/future.hpp>
#include <weir/policy.hpp>
#include <weir/subprocess/exec.hpp>
#include <weir/subprocess/process.hpp>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

const std::vector<std::string> command = {"/bin/true"};

class Ending final : public weir::SubprocessProtocol {
 public:
  explicit Ending(weir::Future<void> ended) : ended_(std::move(ended)) {}
  void connection_lost(std::exception_ptr) override { ended_.set_result(); }

 private:
  ~Ending() override = default;
  weir::Future<void> ended_;
};

weir::Coro<void> by_protocol(weir::EventLoop& loop) {
  weir::SubprocessOptions options;
  options.std_in = options.std_out = options.std_err = weir::Stdio::inherit();
  weir::Future<void> ended = loop.create_future<void>();
  auto [transport, protocol] =
      co_await loop.subprocess_exec([&ended] { return weir::make_ref<Ending>(ended); }, command, options);
  co_await ended;
  if (transport->get_returncode() != 0) {
    throw std::runtime_error("/bin/true failed");
  }
}

weir::Coro<void> by_coroutine(weir::EventLoop&) {
  const weir::Ref<weir::Process> process = co_await weir::create_subprocess_exec(command);
  if (co_await process->wait() != 0) {
    throw std::runtime_error("/bin/true failed");
  }
}

template <weir::Coro<void> (*one)(weir::EventLoop&)>
class Spawn {
 public:
  explicit Spawn(std::size_t count) : loop_(weir::new_event_loop()), count_(count) {}

  void run(bench::Meter& meter) {
    meter.start();
    loop_->run_until_complete(all());
    meter.stop();
  }

 private:
  weir::Coro<void> all() {
    for (std::size_t i = 0; i != count_; ++i) {
      co_await one(*loop_);
    }
  }

  std::unique_ptr<weir::EventLoop> loop_;
  std::size_t count_;
};

const bench::Row<Spawn<&by_protocol>> proc_spawn("proc_spawn/weir", 200);
const bench::Row<Spawn<&by_coroutine>> proc_spawn_process("proc_spawn/weir_process", 200);
const bench::Row<bench::WithMuch<Spawn<&by_protocol>>> proc_spawn_2gib("proc_spawn_2gib/weir", 20);

}  // namespace
