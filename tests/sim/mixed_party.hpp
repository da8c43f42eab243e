// The protocols of the mixed workload: each checks the order of its callbacks, and may misbehave in any of
// them.
#pragma once

#include <weir/weir.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace mixed {

// What a callback throws on purpose.
struct Planned : std::runtime_error {
  Planned() : std::runtime_error("planned") {}
};

// What all parties of one run share.
struct Case {
  weir::EventLoop* loop = nullptr;
  bool peaceful = false;
  std::vector<std::string> problems;
  std::vector<weir::Task<void>> tasks;  // any of them may be cancelled
  std::vector<weir::Ref<weir::Transport>> transports;
  weir::Ref<weir::Server> server;
  int made = 0, lost = 0, complete = 0;
  int posts_made = 0, posts_run = 0;
  int timers_open = 0;

  void check(bool holds, const std::string& text) {
    if (!holds) {
      problems.push_back(text);
    }
  }
  void post() {
    ++posts_made;
    loop->remote().post([this] { ++posts_run; });
  }
  void cancel_somebody() {
    if (!tasks.empty()) {
      tasks[weir::sim::draw(tasks.size())].cancel("by chance");
    }
  }
};

void start_timer(Case& all);

// Base is Protocol or BufferedProtocol.
template <class Base>
class Party : public Base {
 public:
  explicit Party(Case& all) : all_(all) {}

  void connection_made(weir::Ref<weir::Transport> transport) override {
    begin(std::move(transport));
    if (weir::sim::draw(2) == 0) {
      transport_->set_write_buffer_limits(static_cast<std::ptrdiff_t>(weir::sim::draw(20'000)));
    }
    began();
    act(true);
  }
  void connection_lost(std::exception_ptr error) override {
    all_.check(state_ == State::open, "connection_lost without connection_made, or twice");
    state_ = State::lost;
    ++all_.lost;
    std::erase(all_.transports, transport_);
    ended(error);
    try {
      act(true);
    } catch (...) {
      transport_.reset();
      throw;
    }
    transport_.reset();
  }
  void pause_writing() override {
    all_.check(state_ == State::open && !paused_, "pause_writing twice, or out of place");
    paused_ = true;
    act(true);
  }
  void resume_writing() override {
    all_.check(state_ == State::open && paused_, "resume_writing without pause_writing");
    paused_ = false;
    go_on();
    act(true);
  }
  bool eof_received() override {
    all_.check(state_ == State::open && !end_received_, "eof_received twice, or out of place");
    end_received_ = true;
    act(true);
    return false;
  }
  // Takes the place of the protocol of an open transport.
  void take_over(weir::Ref<weir::Transport> transport, bool is_paused) {
    begin(std::move(transport));
    paused_ = is_paused;
  }

 protected:
  enum class State { fresh, open, lost };

  virtual void began() {}
  virtual void go_on() {}
  virtual void ended(std::exception_ptr) {}

  void begin(weir::Ref<weir::Transport> transport) {
    all_.check(state_ == State::fresh, "connection_made twice");
    state_ = State::open;
    ++all_.made;
    transport_ = std::move(transport);
    all_.transports.push_back(transport_);
  }
  void check_data(std::size_t size) {
    all_.check(state_ == State::open && !end_received_ && size > 0, "data out of place");
  }
  bool may_write() const { return state_ == State::open && !eof_written_ && !transport_->is_closing(); }
  void write_eof() {
    if (may_write()) {
      eof_written_ = true;
      transport_->write_eof();
    }
  }

  void act(bool may_throw);

  Case& all_;
  weir::Ref<weir::Transport> transport_;
  State state_ = State::fresh;
  bool paused_ = false;
  bool end_received_ = false;
  bool eof_written_ = false;
};

// Receives, and says nothing.
class Spectator final : public Party<weir::Protocol> {
 public:
  using Party::Party;
  void data_received(std::span<const std::byte> data) override {
    check_data(data.size());
    act(true);
  }
};

template <class Base>
void Party<Base>::act(bool may_throw) {
  if (all_.peaceful || transport_ == nullptr) {
    return;
  }
  const weir::Ref<weir::Transport> transport = transport_;
  switch (weir::sim::draw(120)) {
    case 0:
      transport->close();
      break;
    case 1:
      transport->abort();
      break;
    case 2:
    case 3:
      transport->pause_reading();
      all_.loop->call_later(std::chrono::microseconds(weir::sim::draw(5000)),
                            [transport] { transport->resume_reading(); });
      break;
    case 4:
      all_.cancel_somebody();
      break;
    case 5:
      if (!all_.transports.empty()) {
        const weir::Ref<weir::Transport> other = all_.transports[weir::sim::draw(all_.transports.size())];
        weir::sim::draw(2) == 0 ? other->close() : other->abort();
      }
      break;
    case 6:
      if (may_throw) {
        throw Planned();
      }
      break;
    case 7:
      write_eof();
      break;
    case 8:
      if (state_ == State::open && !transport->is_closing()) {
        auto successor = weir::make_ref<Spectator>(all_);
        std::erase(all_.transports, transport_);
        successor->take_over(transport, paused_);
        state_ = State::lost;
        ++all_.lost;
        transport_.reset();
        transport->set_protocol(std::move(successor));
        ended(nullptr);
      }
      break;
    case 9:
    case 10:
    case 11:
      all_.post();
      break;
    case 12:
      start_timer(all_);
      break;
    case 13:
      if (weir::sim::draw(10) == 0 && all_.server != nullptr) {
        all_.server->close();
      }
      break;
    default:
      break;
  }
}

}  // namespace mixed
