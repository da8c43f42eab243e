// weir: callbacks of one thread.
#include "bench/micro/row.hpp"

#include <weir/event_loop.hpp>
#include <weir/policy.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

namespace {

using bench::Meter;

// A callback schedules the next.
class PostChain {
 public:
  explicit PostChain(std::size_t count) : loop(weir::new_event_loop()), count_(count) {}

  void run(Meter& meter) {
    left_ = count_;
    meter.start();
    hop();
    loop->run_forever();
    meter.stop();
  }

 protected:
  std::unique_ptr<weir::EventLoop> loop;

 private:
  void hop() {
    if (left_-- != 0) {
      loop->call_soon([this] { hop(); });
    } else {
      loop->stop();
    }
  }

  std::size_t count_;
  std::size_t left_ = 0;
};

// The same with a descriptor watched, which is never ready: every turn asks the system.
class PostChainPoll : public PostChain {
 public:
  explicit PostChainPoll(std::size_t count) : PostChain(count), silent_(::eventfd(0, EFD_NONBLOCK)) {
    loop->add_reader(silent_, [] {});
  }
  PostChainPoll(const PostChainPoll&) = delete;
  ~PostChainPoll() {
    loop->remove_reader(silent_);
    ::close(silent_);
  }

 private:
  int silent_;
};

// Many are scheduled, then they run.
class PostBatch {
 public:
  explicit PostBatch(std::size_t count) : loop_(weir::new_event_loop()), count_(count) {}

  void run(Meter& meter) {
    std::size_t ran = 0;
    meter.start();
    for (std::size_t i = 0; i != count_; ++i) {
      loop_->call_soon([&ran] { ++ran; });
    }
    loop_->call_soon([this] { loop_->stop(); });
    loop_->run_forever();
    meter.stop();
    if (ran != count_) {
      std::abort();
    }
  }

 private:
  std::unique_ptr<weir::EventLoop> loop_;
  std::size_t count_;
};

const bench::Row<PostChain> post_chain("post_chain/weir", 1'000'000);
const bench::Row<PostChainPoll> post_chain_poll("post_chain_poll/weir", 200'000);
const bench::Row<PostBatch> post_batch("post_batch/weir", 1'000'000);

}  // namespace
