// `weir relay`: a proxy for streams. A connection of it is two legs, the client's and the target's; each
// writes into the other and reads no faster than the other can write.
#include "tools/weir/connecting.hpp"
#include "tools/weir/error_text.hpp"
#include "tools/weir/verbs.hpp"

#include <weir/net/protocol.hpp>
#include <weir/net/transport.hpp>
#include <weir/policy.hpp>
#include <weir/tasks.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <system_error>
#include <unordered_set>
#include <utility>

namespace program {

namespace {

using weir::Ref;

constexpr std::chrono::seconds connect_timeout{10};

class Leg;

// What all connections of one relay share; the last of them may outlive the verb by a turn.
struct Relay {
  Endpoint target;
  TlsSettings tls;  // of the target
  std::chrono::nanoseconds patience{0};
  std::unordered_set<Leg*> connected;

  void stop();
};
using RelayPtr = std::shared_ptr<Relay>;

class Leg final : public weir::Protocol {
 public:
  // The client's leg, or, given that one, the target's.
  explicit Leg(RelayPtr relay, Ref<Leg> client = {}) : relay_(std::move(relay)), other_(std::move(client)) {}

  void connection_made(Ref<weir::Transport> transport) override;
  void data_received(std::span<const std::byte> data) override {
    has_spoken_ = true;
    other_->transport_->write(data);
  }
  bool eof_received() override;
  void pause_writing() override {
    if (other_ != nullptr) {
      other_->transport_->pause_reading();
    }
  }
  void resume_writing() override {
    if (other_ != nullptr) {
      other_->transport_->resume_reading();
    }
  }
  void connection_lost(std::exception_ptr error) override;

  void fail(const std::exception_ptr& error) {
    report(error);
    abort();
  }
  void abort() {
    if (transport_ != nullptr) {
      transport_->abort();
    }
  }
  // Ends it so that the other side does not take what it got for all there is.
  void reset();

 private:
  void link_to_client();
  void finish();
  void expect_answer();
  void report(const std::exception_ptr& error) const;

  RelayPtr relay_;
  weir::Address peer_;
  Ref<weir::Transport> transport_;  // while it is connected
  Ref<Leg> other_;                  // while both are connected
  weir::TimerHandle silence_;       // of a target that could not be told its client's end
  bool is_client_ = false;
  bool ended_ = false;       // its end of stream has come
  bool has_spoken_ = false;  // since silence_ began
  bool finished_ = false;    // both streams have ended
};

void Relay::stop() {
  for (Leg* leg : connected) {
    leg->abort();
  }
}

weir::Coro<void> connect_target(weir::EventLoop& loop, RelayPtr relay, Ref<Leg> client) {
  const auto factory = [&relay, &client] { return weir::make_ref<Leg>(relay, client); };
  try {
    const Endpoint target = relay->target;
    co_await connect(loop, factory, target, relay->tls, connect_timeout);
  } catch (const std::exception&) {
    client->fail(std::current_exception());
  }
}

void Leg::connection_made(Ref<weir::Transport> transport) {
  transport_ = std::move(transport);
  relay_->connected.insert(this);
  if (const auto peer = transport_->get_extra_info<weir::extra::peername>()) {
    peer_ = *peer;
  }
  if (other_ != nullptr) {
    link_to_client();
    return;
  }
  is_client_ = true;
  transport_->pause_reading();  // there is nowhere to write to yet
  weir::EventLoop& loop = transport_->get_loop();
  loop.create_task(connect_target(loop, relay_, Ref<Leg>(this)));
}

void Leg::link_to_client() {
  if (other_->transport_ == nullptr) {
    other_.reset();  // the client did not wait
    transport_->abort();
    return;
  }
  other_->other_ = Ref<Leg>(this);
  other_->transport_->resume_reading();
}

// TLS has no half-close. A side that ends it takes no more; a client's end that the target cannot be told is
// no reason to withhold the answer; a target's end that the client cannot be told is the end of the answer.
bool Leg::eof_received() {
  ended_ = true;
  const bool can_tell = other_->transport_->can_write_eof();
  if (other_->ended_ || !transport_->can_write_eof() || (!can_tell && !is_client_)) {
    finish();
  } else if (can_tell) {
    other_->transport_->write_eof();
  } else {
    other_->expect_answer();
  }
  return true;
}

// Both close after what they still have to send.
void Leg::finish() {
  finished_ = other_->finished_ = true;
  transport_->close();
  other_->transport_->close();
}

void Leg::expect_answer() {
  has_spoken_ = false;
  silence_ = transport_->get_loop().call_later(relay_->patience, [this] {
    if (has_spoken_) {
      expect_answer();
    } else {
      finish();
    }
  });
}

void Leg::connection_lost(std::exception_ptr error) {
  silence_.cancel();
  relay_->connected.erase(this);
  transport_.reset();
  if (error) {
    report(error);
  }
  if (const Ref<Leg> other = std::exchange(other_, nullptr)) {
    other->other_.reset();
    if (error) {
      other->reset();
    } else if (!finished_) {
      other->abort();
    }
  }
}

void Leg::reset() {
  if (transport_ == nullptr) {
    return;
  }
  if (const auto socket = transport_->get_extra_info<weir::extra::socket>()) {
    try {
      socket->set_linger_abort();
    } catch (const std::system_error&) {
      // It is gone already.
    }
  }
  abort();
}

void Leg::report(const std::exception_ptr& error) const {
  std::fprintf(stderr, "weir relay: %s: %s\n", peer_.to_string().c_str(), error_text(error).c_str());
}

}  // namespace

weir::Coro<int> relay(const Serving& serving, const RelayPlan& plan) {
  if (plan.target.is_udp) {
    co_await relay_datagrams(serving, plan);
    co_return 0;
  }
  const RelayPtr shared = std::make_shared<Relay>();
  shared->target = plan.target;
  shared->patience = plan.idle_timeout;
  shared->tls = plan.target.is_tls ? connecting_settings(plan.tls, "relay") : nullptr;
  const ProtocolFactory factory = [&shared] { return weir::make_ref<Leg>(shared); };
  const std::function<void()> on_stop = [&shared] { shared->stop(); };
  co_await serve_protocols(weir::get_running_loop(), serving, factory, on_stop);
  co_return 0;
}

}  // namespace program
