// weir: callbacks from thread to thread.
#include "bench/micro/on_core.hpp"
#include "bench/micro/row.hpp"

#include <weir/event_loop.hpp>
#include <weir/policy.hpp>
#include <weir/remote.hpp>

#include <chrono>
#include <future>
#include <memory>
#include <thread>

namespace {

using bench::Meter;
using bench::OnCore;

// One thread posts into another's running loop.
class CrossPost {
 public:
  explicit CrossPost(std::size_t count) : loop_(weir::new_event_loop()), count_(count) {}

  void run(Meter& meter) {
    ran_ = 0;
    std::uint64_t allocations = 0;
    const OnCore here(0);
    std::thread poster;
    loop_->call_soon([this, &poster, &allocations, &meter] {
      poster = std::thread([this, &allocations, remote = loop_->remote()] {
        const OnCore there(1);
        const std::uint64_t before = bench::allocations_so_far();
        for (std::size_t i = 0; i != count_; ++i) {
          remote.post([this] {
            if (++ran_ == count_) {
              loop_->stop();
            }
          });
        }
        allocations = bench::allocations_so_far() - before;
      });
      meter.start();
    });
    loop_->run_forever();
    meter.stop();
    poster.join();
    meter.add_allocations(allocations);
  }

 private:
  std::unique_ptr<weir::EventLoop> loop_;
  std::size_t count_;
  std::size_t ran_ = 0;
};

// Two loops on two threads post to each other.
class RoundTrip {
 public:
  explicit RoundTrip(std::size_t count) : loop_(weir::new_event_loop()), count_(count) {
    std::promise<weir::LoopRemote> made;
    auto remote = made.get_future();
    thread_ = std::thread([this, made = std::move(made)]() mutable {
      const OnCore there(1);
      const auto loop = weir::new_event_loop();
      other_ = loop.get();
      loop->call_soon([&made, &loop] { made.set_value(loop->remote()); });
      loop->run_forever();
    });
    there_ = std::make_unique<weir::LoopRemote>(remote.get());
    here_ = std::make_unique<weir::LoopRemote>(loop_->remote());
  }
  RoundTrip(const RoundTrip&) = delete;
  ~RoundTrip() {
    there_->post([this] { other_->stop(); });
    thread_.join();
  }

  void run(Meter& meter) {
    left_ = count_;
    meter.start();
    go();
    loop_->run_forever();
    meter.stop();
  }

 protected:
  void spin_for(std::chrono::nanoseconds duration) {
    loop_->set_busy_poll(duration);
    there_->post([this, duration] { other_->set_busy_poll(duration); });
  }

 private:
  void go() {
    if (left_-- == 0) {
      loop_->stop();
      return;
    }
    there_->post([this] { here_->post([this] { go(); }); });
  }

  std::unique_ptr<weir::EventLoop> loop_;
  weir::EventLoop* other_ = nullptr;
  std::unique_ptr<weir::LoopRemote> here_;
  std::unique_ptr<weir::LoopRemote> there_;
  OnCore here_core_{0};
  std::thread thread_;
  std::size_t count_;
  std::size_t left_ = 0;
};

class SpinningRoundTrip : public RoundTrip {
 public:
  explicit SpinningRoundTrip(std::size_t count) : RoundTrip(count) { spin_for(std::chrono::milliseconds(1)); }
};

const bench::Row<CrossPost> xthread_post("xthread_post/weir", 1'000'000);
const bench::Row<RoundTrip> xthread_rtt("xthread_rtt/weir", 2'000);
const bench::Row<SpinningRoundTrip> xthread_rtt_spinning("xthread_rtt/weir_spinning", 100'000);

}  // namespace
