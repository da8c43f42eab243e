// TRAN: a kind of transport that supports nothing but ending.
#include "tests/net/net_test.hpp"

#include <array>

using namespace weir;
using namespace weir::testing;

namespace {

class MuteTransport final : public Transport {
 public:
  explicit MuteTransport(EventLoop& loop) : loop_(&loop) {}

  void close() noexcept override { closing_ = true; }
  bool is_closing() const noexcept override { return closing_; }
  Ref<BaseProtocol> get_protocol() const noexcept override { return {}; }
  EventLoop& get_loop() const noexcept override { return *loop_; }
  void abort() noexcept override { closing_ = true; }

 private:
  ~MuteTransport() override = default;

  EventLoop* loop_;
  bool closing_ = false;
};

// The kinds override one function of writing, and have the others by it.
class Sink final : public Transport {
 public:
  explicit Sink(EventLoop& loop) : loop_(&loop) {}

  using Transport::write;
  void close() noexcept override {}
  bool is_closing() const noexcept override { return false; }
  Ref<BaseProtocol> get_protocol() const noexcept override { return {}; }
  EventLoop& get_loop() const noexcept override { return *loop_; }
  void abort() noexcept override {}
  void write(std::span<const std::byte> data) override { taken += as_text(data); }

  std::string taken;

 private:
  ~Sink() override = default;

  EventLoop* loop_;
};

template <class Call>
void check_refused(std::string_view name, Call call) {
  CAPTURE(name);
  try {
    call();
    FAIL_CHECK("not refused");
  } catch (const NotSupportedError& error) {
    CHECK(std::string_view(error.what()).starts_with(name));
    CHECK(error.capability().empty());
  }
}

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "TRAN-028 what a kind of transport lacks is refused by name") {
  const auto transport = make_ref<MuteTransport>(loop);
  const std::array<std::span<const std::byte>, 1> pieces{as_bytes("x")};
  check_refused("set_protocol", [&] { transport->set_protocol({}); });
  check_refused("pause_reading", [&] { transport->pause_reading(); });
  check_refused("resume_reading", [&] { transport->resume_reading(); });
  check_refused("write:", [&] { transport->write("x"); });
  check_refused("write:", [&] { transport->write(Bytes("x")); });
  check_refused("write:", [&] { transport->writelines(pieces); });
  check_refused("write_eof", [&] { transport->write_eof(); });
  check_refused("set_write_buffer_limits", [&] { transport->set_write_buffer_limits(1); });
  CHECK_FALSE(transport->is_reading());
  CHECK_FALSE(transport->can_write_eof());
  CHECK(transport->get_write_buffer_size() == 0);
  CHECK(transport->get_write_buffer_limits() == WriteBufferLimits{0, 0});
  CHECK_FALSE(transport->get_extra_info<extra::peername>().has_value());
  transport->close();
  CHECK(transport->is_closing());
}

TEST_CASE_FIXTURE(LoopFixture, "a kind of transport that can write has every way of writing") {
  const auto sink = make_ref<Sink>(loop);
  const std::array<std::span<const std::byte>, 2> pieces{as_bytes("c"), as_bytes("d")};
  sink->write("a");
  sink->write(Bytes("b"));
  sink->writelines(pieces);
  CHECK(sink->taken == "abcd");
}
