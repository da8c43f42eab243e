// The protocols of the mixed workload: two that echo, and one that sends and compares.
#pragma once

#include "tests/sim/mixed_party.hpp"

#include <array>

namespace mixed {

// Sends back what it gets, and reads only while what it wrote is taken.
class Echo final : public Party<weir::Protocol> {
 public:
  using Party::Party;
  void data_received(std::span<const std::byte> data) override {
    check_data(data.size());
    if (may_write()) {
      transport_->write(data);
    }
    act(true);
  }
  void pause_writing() override {
    transport_->pause_reading();
    Party::pause_writing();
  }
  void go_on() override { transport_->resume_reading(); }
};

class BufferedEcho final : public Party<weir::BufferedProtocol> {
 public:
  using Party::Party;
  std::span<std::byte> get_buffer(std::size_t) override {
    all_.check(state_ == State::open, "get_buffer out of place");
    return std::span(memory_).first(1 + weir::sim::draw(memory_.size()));
  }
  void buffer_updated(std::size_t count) override {
    check_data(count);
    if (may_write()) {
      transport_->write(std::span(memory_).first(count));
    }
    act(true);
  }

 private:
  std::array<std::byte, 4096> memory_{};
};

// Sends a text in pieces, in every way there is, and compares what comes back.
class Sender final : public Party<weir::Protocol> {
 public:
  Sender(Case& all, std::string text) : Party(all), text_(std::move(text)), over_(*all.loop) {}

  const weir::Future<void>& over() const { return over_; }
  void give_up() {
    if (transport_ != nullptr) {
      transport_->abort();
    }
  }

  void data_received(std::span<const std::byte> data) override {
    check_data(data.size());
    const std::string_view piece = weir::as_text(data);
    all_.check(text_.compare(got_, piece.size(), piece) == 0, "other bytes came back than were sent");
    got_ += piece.size();
    act(true);
  }

 private:
  void began() override { go_on(); }
  void go_on() override {
    while (sent_ != text_.size() && !paused_ && may_write()) {
      write_some(1 + weir::sim::draw(std::min<std::size_t>(text_.size() - sent_, 9000)));
      if (weir::sim::draw(8) == 0) {
        all_.loop->call_later(std::chrono::microseconds(weir::sim::draw(300)),
                              [self = weir::Ref<Sender>(this)] { self->go_on(); });
        return;
      }
    }
    if (sent_ == text_.size()) {
      write_eof();
    }
  }
  // The text is counted as sent before, because a write may come back through pause_writing.
  void write_some(std::size_t size) {
    const std::span<const std::byte> piece =
        weir::as_bytes(std::string_view(text_).substr(std::exchange(sent_, sent_ + size), size));
    switch (weir::sim::draw(3)) {
      case 0:
        transport_->write(piece);
        break;
      case 1:
        transport_->write(weir::Bytes(piece));
        break;
      default: {
        const std::span<const std::byte> halves[] = {piece.first(size / 2), piece.subspan(size / 2)};
        transport_->writelines(halves);
      }
    }
  }
  void ended(std::exception_ptr error) override {
    const bool complete = got_ == text_.size();
    all_.complete += complete ? 1 : 0;
    all_.check(!all_.peaceful || (complete && error == nullptr), "a peaceful client did not get everything");
    if (!over_.done()) {
      over_.set_result();
    }
  }

  std::string text_;
  std::size_t sent_ = 0;
  std::size_t got_ = 0;
  weir::Future<void> over_;
};

}  // namespace mixed
