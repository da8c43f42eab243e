// The protocols of the scenarios. Each holds a guard and checks the order in which it is called.
#pragma once

#include "tests/drivers/scenarios.hpp"

#include <weir/bytes.hpp>
#include <weir/future.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/transport.hpp>

#include <exception>
#include <utility>
#include <vector>

namespace weir::testing {

// The part of a guarded protocol that is the same for all.
template <class Base>
class Guarded : public Base {
 public:
  explicit Guarded(Stage& stage) : stage_(stage), guard_(stage.guards) {}
  void connection_made(Ref<Transport> made) override {
    order_.made();
    transport_ = std::move(made);
  }
  void connection_lost(std::exception_ptr) override {
    order_.lost();
    transport_.reset();
  }
  void pause_writing() override { order_.paused(); }
  void resume_writing() override { order_.resumed(); }
  bool eof_received() override {
    order_.eof();
    return false;
  }
  bool is_open() const noexcept { return order_.is_open(); }

 protected:
  Stage& stage_;
  Guard guard_;
  CallOrder order_;
  Ref<Transport> transport_;
};

class EchoProtocol final : public Guarded<Protocol> {
 public:
  using Guarded::Guarded;
  void data_received(std::span<const std::byte> data) override {
    order_.data();
    transport_->write(data);
  }
};

class EchoBuffered final : public Guarded<BufferedProtocol> {
 public:
  explicit EchoBuffered(Stage& stage) : Guarded(stage), memory_(stage.buffer) {}
  std::span<std::byte> get_buffer(std::size_t) override {
    order_.data();
    return memory_;
  }
  void buffer_updated(std::size_t count) override {
    order_.data();
    const std::span<const std::byte> pieces[] = {std::span(memory_).first(count / 2),
                                                 std::span(memory_).subspan(count / 2, count - count / 2)};
    transport_->writelines(pieces);
  }

 private:
  std::vector<std::byte> memory_;
};

// Sends the text and collects what comes back.
class Talker final : public Guarded<Protocol> {
 public:
  explicit Talker(Stage& stage) : Guarded(stage), over(stage.loop) {}
  void connection_made(Ref<Transport> made) override {
    Guarded::connection_made(std::move(made));
    const std::size_t first = stage_.split == 0 ? travelling_text.size() : stage_.split;
    send(travelling_text.substr(0, first));
    rest_ = travelling_text.substr(first);
  }
  void data_received(std::span<const std::byte> data) override {
    order_.data();
    received += as_text(data);
    if (!rest_.empty() && received.size() >= stage_.split) {
      send(std::exchange(rest_, {}));
    }
    if (received.size() == travelling_text.size()) {
      transport_->close();
    }
  }
  void connection_lost(std::exception_ptr error) override {
    Guarded::connection_lost(nullptr);
    if (over.done()) {
      return;
    }
    if (error != nullptr) {
      over.set_exception(std::move(error));
    } else {
      over.set_result();
    }
  }

  Future<void> over;
  std::string received;

 private:
  void send(std::string_view text) {
    if (text.size() % 2 == 0) {
      transport_->write(text);
    } else {
      transport_->write(Bytes(text));
    }
  }

  std::string_view rest_;
};

// One half of a relay: what it reads, the other half writes. They do not hold each other: a loop that is
// closed calls nobody who could let go.
class Half final : public Guarded<Protocol> {
 public:
  using Guarded::Guarded;
  void data_received(std::span<const std::byte> data) override {
    order_.data();
    if (Transport* const to = other(); to != nullptr) {
      to->write(data);
    }
  }
  bool eof_received() override {
    order_.eof();
    Transport* const to = other();
    if (to != nullptr) {
      to->write_eof();
    }
    return to != nullptr;
  }
  void pause_writing() override {
    order_.paused();
    if (Transport* const to = other(); to != nullptr) {
      to->pause_reading();
    }
  }
  void resume_writing() override {
    order_.resumed();
    if (Transport* const to = other(); to != nullptr) {
      to->resume_reading();
    }
  }
  void connection_lost(std::exception_ptr) override {
    Guarded::connection_lost(nullptr);
    if (Transport* const to = other(); to != nullptr) {
      to->close();
    }
    part();
  }
  void join(Half& half) noexcept {
    other_ = &half;
    half.other_ = this;
  }
  Transport* transport() const noexcept { return transport_.get(); }

 protected:
  ~Half() override { part(); }

 private:
  Transport* other() const noexcept { return other_ != nullptr ? other_->transport_.get() : nullptr; }
  void part() noexcept {
    if (Half* const half = std::exchange(other_, nullptr); half != nullptr) {
      half->other_ = nullptr;
    }
  }

  Half* other_ = nullptr;
};

}  // namespace weir::testing
