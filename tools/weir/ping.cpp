// `weir ping`: round trips, measured and verified byte by byte.
#include "tools/weir/connecting.hpp"
#include "tools/weir/duration_text.hpp"
#include "tools/weir/error_text.hpp"
#include "tools/weir/latency.hpp"
#include "tools/weir/progress.hpp"
#include "tools/weir/verbs.hpp"

#include <weir/bytes.hpp>
#include <weir/exceptions.hpp>
#include <weir/net/datagram.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/transport.hpp>
#include <weir/policy.hpp>
#include <weir/tasks.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace program {

namespace {

using weir::Ref;

// One run: what is left to do, what was measured, and who takes part.
class Pinging {
 public:
  Pinging(weir::EventLoop& event_loop, const PingPlan& plan, TlsSettings settings);
  Pinging(const Pinging&) = delete;
  ~Pinging() { silence_.cancel(); }

  // The message of the next round trip, or nothing when all have begun. Messages differ, so that an answer
  // that belongs to another round trip, or that is shifted, is noticed.
  std::optional<std::span<const std::byte>> begin_round_trip();
  void end_round_trip(std::chrono::nanoseconds latency);
  // Ends the run; the first failure is the one that is told.
  void fail(std::size_t connection, const std::string& why);
  void expect_progress();
  void connection_gone();
  // Returns when no connection is left: the end of TLS takes an answer.
  weir::Coro<void> wait_until_gone();

  weir::EventLoop& loop;
  const PingPlan& plan;
  const TlsSettings tls;
  std::size_t begun = 0;
  std::size_t connected = 0;
  std::size_t bytes_received = 0;
  std::vector<std::chrono::nanoseconds> samples;
  weir::Future<void> done;

 private:
  std::vector<std::byte> noise_;  // messages are pieces of it
  std::size_t received_before_ = 0;
  weir::TimerHandle silence_;
  weir::Future<void> gone_;
};

// One connection, or one socket of datagrams: what both have in common.
class Pinger {
 public:
  Pinger(std::shared_ptr<Pinging> pinging, std::size_t number)
      : pinging_(std::move(pinging)), number_(number) {}
  virtual ~Pinger() = default;

  void next();
  virtual void close() = 0;

 protected:
  void received(std::span<const std::byte> data);
  void made() { ++pinging_->connected; }
  void gone() { pinging_->connection_gone(); }
  // It is lost, unless this side has closed it.
  void lost(std::exception_ptr error) {
    pinging_->fail(number_, error ? error_text(error) : "the other side closed it");
  }
  void fail(const std::string& why) {
    close();
    pinging_->fail(number_, why);
  }

 private:
  virtual void send(std::span<const std::byte> data) = 0;

  std::shared_ptr<Pinging> pinging_;
  std::size_t number_;
  std::span<const std::byte> expected_;  // what is still to arrive of the round trip under way
  std::size_t round_trip_ = 0;
  weir::TimePoint sent_at_;
};

// With its transport, until this side has closed it.
template <class Base, class T>
class PingerOn : public Base, public Pinger {
 public:
  using Pinger::Pinger;
  void connection_made(Ref<T> transport) override {
    transport_ = std::move(transport);
    made();
  }
  void connection_lost(std::exception_ptr error) override {
    gone();
    if (std::exchange(transport_, nullptr) != nullptr) {
      lost(std::move(error));
    }
  }
  void close() override {
    if (transport_ != nullptr) {
      std::exchange(transport_, nullptr)->abort();
    }
  }

 protected:
  Ref<T> transport_;
};

class StreamPinger final : public PingerOn<weir::Protocol, weir::Transport> {
 public:
  using PingerOn::PingerOn;
  void data_received(std::span<const std::byte> data) override { received(data); }
  // The end of TLS is said, or the server would take it for a connection that somebody has cut.
  void close() override {
    if (transport_ != nullptr && !transport_->can_write_eof()) {
      std::exchange(transport_, nullptr)->close();
    }
    PingerOn::close();
  }

 private:
  void send(std::span<const std::byte> data) override { transport_->write(data); }
};

class DatagramPinger final : public PingerOn<weir::DatagramProtocol, weir::DatagramTransport> {
 public:
  using PingerOn::PingerOn;
  void datagram_received(std::span<const std::byte> data, const weir::Address&) override { received(data); }
  void error_received(const std::system_error& error) override {
    fail(error_text(std::make_exception_ptr(error)));
  }

 private:
  void send(std::span<const std::byte> data) override { transport_->sendto(data); }
};

// A pinger, and what keeps it alive.
class Held {
 public:
  template <class P>
  explicit Held(Ref<P> pinger) : pinger_(pinger.get()), keep_(std::move(pinger)) {}
  Pinger* operator->() const noexcept { return pinger_; }

 private:
  Pinger* pinger_;
  Ref<weir::BaseProtocol> keep_;
};

Pinging::Pinging(weir::EventLoop& event_loop, const PingPlan& ping_plan, TlsSettings settings)
    : loop(event_loop),
      plan(ping_plan),
      tls(std::move(settings)),
      done(event_loop),
      noise_(ping_plan.size + 251),
      gone_(event_loop) {
  samples.reserve(plan.count);
  std::uint32_t state = 1;
  for (std::byte& byte : noise_) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::byte>(state >> 24);
  }
}

std::optional<std::span<const std::byte>> Pinging::begin_round_trip() {
  if (begun == plan.count || done.done()) {
    return std::nullopt;
  }
  return std::span<const std::byte>(noise_).subspan(begun++ % 251, plan.size);
}

void Pinging::end_round_trip(std::chrono::nanoseconds latency) {
  samples.push_back(latency);
  if (samples.size() == plan.count && !done.done()) {
    done.set_result();
  }
}

void Pinging::fail(std::size_t connection, const std::string& why) {
  if (!done.done()) {
    done.set_exception(std::runtime_error("connection " + std::to_string(connection + 1) + " of " +
                                          std::to_string(plan.connections) + ": " + why));
  }
}

// A server that does not echo must not keep us for ever.
void Pinging::expect_progress() {
  silence_ = loop.call_later(plan.timeout, [this] {
    if (done.done()) {
      return;
    }
    if (bytes_received == received_before_) {
      done.set_exception(weir::TimeoutError("nothing came back for " + to_text(plan.timeout)));
      return;
    }
    received_before_ = bytes_received;
    expect_progress();
  });
}

void Pinging::connection_gone() {
  if (--connected == 0 && !gone_.done()) {
    gone_.set_result();
  }
}

weir::Coro<void> Pinging::wait_until_gone() {
  if (connected != 0) {
    gone_ = weir::Future<void>(loop);
    co_await gone_;
  }
}

void Pinger::next() {
  const std::optional<std::span<const std::byte>> message = pinging_->begin_round_trip();
  if (!message) {
    close();
    return;
  }
  round_trip_ = pinging_->begun;
  expected_ = *message;
  sent_at_ = pinging_->loop.time();
  send(expected_);
}

void Pinger::received(std::span<const std::byte> data) {
  pinging_->bytes_received += data.size();
  const std::size_t usable = std::min(data.size(), expected_.size());
  const auto [wrong, wanted] =
      std::mismatch(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(usable), expected_.begin());
  if (wanted != expected_.begin() + static_cast<std::ptrdiff_t>(usable)) {
    const std::size_t position =
        pinging_->plan.size - expected_.size() + static_cast<std::size_t>(wrong - data.begin());
    fail("byte " + std::to_string(position + 1) + " of round trip " + std::to_string(round_trip_) +
         " came back wrong");
    return;
  }
  if (data.size() > usable) {
    fail("more came back than was sent in round trip " + std::to_string(round_trip_));
    return;
  }
  expected_ = expected_.subspan(usable);
  if (expected_.empty()) {
    pinging_->end_round_trip(pinging_->loop.time() - sent_at_);
    next();
  }
}

weir::Coro<Held> connect_pinger(std::shared_ptr<Pinging> pinging, std::size_t number) {
  const Endpoint target = pinging->plan.target;
  if (target.is_udp) {
    const auto factory = [&pinging, number] { return weir::make_ref<DatagramPinger>(pinging, number); };
    const weir::DatagramEndpointOptions options{.remote_host = target.host, .remote_port = target.port};
    auto endpoint = co_await pinging->loop.create_datagram_endpoint(factory, options);
    co_return Held(std::move(endpoint.second));
  }
  const auto factory = [&pinging, number] { return weir::make_ref<StreamPinger>(pinging, number); };
  Ref<StreamPinger> pinger =
      co_await connect(pinging->loop, factory, target, pinging->tls, pinging->plan.timeout);
  co_return Held(std::move(pinger));
}

// Connects all of them before the first round trip, so that connecting disturbs no measurement.
weir::Coro<void> connect_all(std::shared_ptr<Pinging> pinging, std::vector<Held>& pingers) {
  std::vector<weir::Task<Held>> connecting;
  for (std::size_t i = 0; i != pinging->plan.connections; ++i) {
    connecting.push_back(pinging->loop.create_task(connect_pinger(pinging, i)));
  }
  std::exception_ptr error;
  for (const weir::Task<Held>& task : connecting) {
    try {
      pingers.push_back(co_await task);
    } catch (const std::exception&) {
      error = error ? error : std::current_exception();
    }
  }
  if (error) {
    std::rethrow_exception(error);
  }
}

void print_summary(const PingPlan& plan, LatencySummary summary, std::chrono::nanoseconds elapsed) {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  const double rate = static_cast<double>(summary.count) / seconds;
  std::printf("%zu round trips of %zu bytes to %s on %zu connection%s in %s\n", summary.count, plan.size,
              to_text(plan.target).c_str(), plan.connections, plan.connections == 1 ? "" : "s",
              to_text(elapsed).c_str());
  std::printf("latency: %s\n", summary.to_string().c_str());
  std::printf("rate: %.0f round trips/s, %.1f MiB/s each way\n", rate,
              rate * static_cast<double>(plan.size) / (1024 * 1024));
}

}  // namespace

weir::Coro<int> ping(const PingPlan& plan) {
  weir::EventLoop& loop = weir::get_running_loop();
  TlsSettings tls = plan.target.is_tls ? connecting_settings(plan.tls, "ping") : nullptr;
  const auto pinging = std::make_shared<Pinging>(loop, plan, std::move(tls));
  std::vector<Held> pingers;
  std::exception_ptr error;
  weir::TimePoint started;
  try {
    co_await connect_all(pinging, pingers);
    started = loop.time();
    const ProgressBar bar(loop, plan.count, [&pinging] { return pinging->samples.size(); });
    pinging->expect_progress();
    for (const Held& pinger : pingers) {
      pinger->next();
    }
    co_await pinging->done;
  } catch (...) {
    error = std::current_exception();
  }
  const std::chrono::nanoseconds elapsed = loop.time() - started;
  for (const Held& pinger : pingers) {
    pinger->close();
  }
  co_await pinging->wait_until_gone();
  if (error) {
    std::rethrow_exception(error);
  }
  print_summary(plan, summarize(std::move(pinging->samples)), elapsed);
  co_return 0;
}

}  // namespace program
