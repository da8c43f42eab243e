// TRAN and FLOW: the writing side of a stream transport.
#include "tests/net/net_test.hpp"
#include "tests/support/raw_sockets.hpp"

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// A world in which the system takes at once what it has room for, as an idle kernel does.
struct Prompt {
#if defined(WEIR_BACKEND_SIM)
  Prompt() {
    sim::Options options;
    options.pending_chance = options.short_write_chance = options.late_chance = 0;
    sim::configure(options);
  }
  Prompt(const Prompt&) = delete;
  Prompt& operator=(const Prompt&) = delete;
  ~Prompt() { sim::configure({}); }
#endif
};

std::vector<std::span<const std::byte>> pieces_of(const std::string& text, std::size_t size) {
  std::vector<std::span<const std::byte>> pieces;
  for (std::size_t begin = 0; begin < text.size(); begin += size) {
    pieces.push_back(as_bytes(std::string_view(text).substr(begin, size)));
  }
  return pieces;
}

}  // namespace

WEIR_TEST("TRAN-008 write of an empty buffer does nothing") {
  auto w = co_await wire(loop, true);
  w.transport->write("");
  w.transport->write(Bytes());
  w.transport->writelines({});
  CHECK(w.transport->get_write_buffer_size() == 0);
  clog(*w.transport);
  const std::size_t size = w.transport->get_write_buffer_size();
  w.transport->write("");
  w.transport->write(Bytes());
  CHECK(w.transport->get_write_buffer_size() == size);
  w.transport->abort();
  for (int i = 0; i != 20; ++i) {
    w.transport->write("");  // no warning either
  }
  co_await until([&] { return w.protocol->lost != 0; });
}

TEST_CASE("TRAN-009 write tries to send at once") {
  [[maybe_unused]] const Prompt prompt;
  run_test_body([](EventLoop& loop, Env&) -> Coro<void> {
    auto w = co_await wire(loop);
    w.transport->write("hello");
    CHECK(w.transport->get_write_buffer_size() == 0);
    CHECK(co_await w.peer->read_exactly(5) == "hello");
    co_await finish(w);
  });
}

WEIR_TEST("TRAN-009 what the system does not take is buffered and sent in order") {
  auto w = co_await wire(loop, true);
  std::string written = clog(*w.transport);
  CHECK(w.transport->get_write_buffer_size() > 0);
  w.transport->write("the end");
  written += "the end";
  CHECK(co_await w.peer->read_exactly(written.size()) == written);
  co_await until([&] { return w.transport->get_write_buffer_size() == 0; });
  co_await finish(w);
}

WEIR_TEST("TRAN-010 write does not keep a reference to the caller's memory") {
  auto w = co_await wire(loop, true);
  std::string expected;
  std::string memory = pattern(clogging);
  w.transport->write(memory);
  expected += memory;
  std::fill(memory.begin(), memory.end(), '#');
  CHECK(w.transport->get_write_buffer_size() > 0);
  memory = "some more";
  w.transport->write(memory);
  expected += memory;
  std::fill(memory.begin(), memory.end(), '#');
  auto pieces = pieces_of(memory, 3);
  w.transport->writelines(pieces);
  expected += memory;
  std::fill(memory.begin(), memory.end(), '!');
  // The queue owns this one.
  Bytes owned(std::string_view("owned"));
  w.transport->write(std::move(owned));
  expected += "owned";
  // NOLINTNEXTLINE(bugprone-use-after-move)
  CHECK(owned.empty());
  CHECK(co_await w.peer->read_exactly(expected.size()) == expected);
  co_await finish(w);
}

WEIR_TEST("TRAN-010 an owning write to a connection with room sends the bytes") {
  auto w = co_await wire(loop, true);
  std::string expected;
  for (const std::size_t size : {std::size_t{5}, std::size_t{70'000}, clogging, std::size_t{1}}) {
    w.transport->write(Bytes(pattern(size)));
    expected += pattern(size);
  }
  CHECK(co_await w.peer->read_exactly(expected.size()) == expected);
  co_await finish(w);
}

WEIR_TEST("TRAN-011 writelines sends several buffers in order") {
  auto w = co_await wire(loop);
  const std::vector<std::span<const std::byte>> pieces = {as_bytes("one"), as_bytes(""), as_bytes("two"),
                                                          as_bytes("three")};
  w.transport->writelines(pieces);
  w.transport->writelines(pieces);
  CHECK(co_await w.peer->read_exactly(22) == "onetwothreeonetwothree");
  co_await finish(w);
}

WEIR_TEST("TRAN-012 a gathered write that is taken half-way inside a buffer continues at the right byte") {
  auto w = co_await wire(loop, true);
  const std::string text = pattern(clogging);
  std::string expected;
  for (const std::size_t size : {std::size_t{9973}, std::size_t{104'729}, std::size_t{1'299'709}}) {
    w.transport->writelines(pieces_of(text, size));
    expected += text;
  }
  CHECK(w.transport->get_write_buffer_size() > 0);
  const std::string read = co_await w.peer->read_exactly(expected.size());
  CHECK(read == expected);
  co_await finish(w);
}

WEIR_TEST("TRAN-013 more buffers than one system call can take are all sent") {
  auto w = co_await wire(loop);
  const std::string text = pattern(5000);
  w.transport->writelines(pieces_of(text, 1));
  CHECK(co_await w.peer->read_exactly(text.size()) == text);
  // The same from the queue, where each owned buffer is a piece of its own.
  auto clogged = co_await wire(loop, true);
  std::string expected = clog(*clogged.transport);
  for (int i = 0; i != 3000; ++i) {
    clogged.transport->write(Bytes(std::string_view(text).substr(static_cast<std::size_t>(i), 1)));
  }
  expected += text.substr(0, 3000);
  CHECK(co_await clogged.peer->read_exactly(expected.size()) == expected);
  co_await finish(w);
  co_await finish(clogged);
}

WEIR_TEST("TRAN-014 a write error loses the connection with it and is not thrown") {
  auto w = co_await wire(loop);
  w.transport->pause_reading();  // so that only writing can notice
  w.peer->reset();
  co_await settle(loop);
  for (int i = 0; i != 5 && w.protocol->lost == 0; ++i) {
    CHECK_NOTHROW(w.transport->write("x"));
    co_await settle(loop);
  }
  REQUIRE(w.protocol->lost == 1);
  CHECK((w.protocol->code() == std::errc::broken_pipe || w.protocol->code() == std::errc::connection_reset));
}

WEIR_TEST("TRAN-014 a write error of queued bytes") {
  auto w = co_await wire(loop, true);
  w.transport->pause_reading();
  clog(*w.transport);
  w.peer->reset();
  co_await until([&] { return w.protocol->lost != 0; });
  CHECK((w.protocol->code() == std::errc::broken_pipe || w.protocol->code() == std::errc::connection_reset));
}

WEIR_TEST("TRAN-015 write after the end is ignored, and one warning is logged") {
  auto closing = co_await wire(loop, true);
  const std::string written = clog(*closing.transport);
  closing.transport->close();
  const std::size_t size = closing.transport->get_write_buffer_size();
  for (int i = 0; i != 20; ++i) {
    closing.transport->write("ignored");
  }
  CHECK(closing.transport->get_write_buffer_size() == size);
  env.expect_log("the connection is gone");
  CHECK(env.take_logs().empty());
  CHECK(co_await closing.peer->read_all() == written);
  co_await until([&] { return closing.protocol->lost != 0; });

  auto gone = co_await wire(loop);
  co_await finish(gone);
  gone.transport->write("one");
  gone.transport->write("two");
  CHECK(env.take_logs().empty());  // a writer may be late
  for (int i = 0; i != 20; ++i) {
    gone.transport->write("more");
  }
  env.expect_log("the connection is gone");
}

WEIR_TEST("TRAN-015 a writer that never yields sees the loss within 10 writes") {
  if (!has("real_network")) {
    skip("TRAN-015", "real_network");  // in virtual time a reset needs a turn to arrive
    co_return;
  }
  for (const bool queued : {false, true}) {
    auto w = co_await wire(loop, true);
    if (queued) {
      clog(*w.transport);
    }
    w.peer->reset();
    int writes = 0;
    while (!w.transport->is_closing() && writes != 100) {
      w.transport->write("x");
      ++writes;
    }
    CHECK(writes <= 10);
    co_await until([&] { return w.protocol->lost != 0; });
    CHECK(w.protocol->error);
  }
}

WEIR_TEST("TRAN-016 write_eof flushes, then shuts down the writing side; reading goes on") {
  if (over_tls()) {
    auto w = co_await wire(loop);
    CHECK_FALSE(w.transport->can_write_eof());
    CHECK_THROWS_AS(w.transport->write_eof(), NotSupportedError);
    co_await finish(w);
    co_return;
  }
  for (const bool clogged : {false, true}) {
    auto w = co_await wire(loop, true);
    CHECK(w.transport->can_write_eof());
    std::string written = "just this";
    if (clogged) {
      written = clog(*w.transport);
    } else {
      w.transport->write(written);
    }
    w.transport->write_eof();
    CHECK(co_await w.peer->read_all() == written);
    CHECK(w.protocol->lost == 0);
    co_await w.peer->send("answer");
    co_await until([&] { return w.protocol->received == "answer"; });
    co_await finish(w);
  }
}

WEIR_TEST("TRAN-017 write after write_eof is a usage error, a second write_eof does nothing") {
  auto w = co_await wire(loop);
  if (over_tls()) {  // the one that was refused has no consequence
    CHECK_THROWS_AS(w.transport->write_eof(), NotSupportedError);
    w.transport->write("goes on");
    CHECK(co_await w.peer->read_exactly(7) == "goes on");
    co_await finish(w);
    co_return;
  }
  w.transport->write_eof();
  w.transport->write_eof();
  CHECK_THROWS_AS(w.transport->write("x"), RuntimeError);
  CHECK_THROWS_AS(w.transport->write(Bytes(std::string_view("x"))), RuntimeError);
  CHECK_THROWS_AS(w.transport->writelines(pieces_of("x", 1)), RuntimeError);
  co_await w.peer->send("still read");
  co_await until([&] { return w.protocol->received == "still read"; });
  co_await finish(w);
  w.transport->write_eof();

  auto closed = co_await wire(loop, true);
  const std::string written = clog(*closed.transport);
  closed.transport->close();
  closed.transport->write_eof();
  closed.transport->write("ignored, and no error");
  CHECK(co_await closed.peer->read_all() == written);
  co_await until([&] { return closed.protocol->lost != 0; });
}

WEIR_TEST("TRAN-020 a read that would block is ignored") {
#if !defined(WEIR_BACKEND_SIM)
  auto w = co_await wire(loop);
  co_await settle(loop);
  const native_socket native = w.transport->get_extra_info<extra::socket>()->native_handle();
  std::ptrdiff_t stolen = 0;
  // What is queued now runs before what the next poll reports: the bytes are gone when the transport reads.
  co_await w.peer->send("stolen");
  loop.call_soon([&] {
    char buffer[100];
    stolen = raw_receive(native, buffer);
  });
  co_await settle(loop);
  REQUIRE(stolen == static_cast<std::ptrdiff_t>(w.peer->on_line(6)));
  CHECK(w.protocol->events == std::vector<std::string>{"made"});
  if (over_tls()) {  // nothing that follows makes sense any more
    co_await finish(w);
    co_return;
  }
  co_await w.peer->send("kept");
  co_await until([&] { return w.protocol->received == "kept"; });
  co_await finish(w);
#else
  skip("TRAN-020", "real_network");
  co_return;
#endif
}

WEIR_TEST("TRAN-030 small writes made one after another arrive complete and in order") {
  auto w = co_await wire(loop);
  std::string expected;
  for (int i = 0; i != 2000; ++i) {
    const std::string text = std::to_string(i) + ' ';
    w.transport->write(text);
    expected += text;
    if (i % 100 == 0) {
      co_await sleep(0s);
    }
  }
  CHECK(co_await w.peer->read_exactly(expected.size()) == expected);
  co_await finish(w);
}

// --- Flow control

WEIR_TEST("FLOW-001 pause_writing and resume_writing are called once each") {
  auto w = co_await wire(loop, true);
  std::vector<std::size_t> sizes;
  w.protocol->on_pause = [&] { sizes.push_back(w.transport->get_write_buffer_size()); };
  w.protocol->on_resume = [&] { sizes.push_back(w.transport->get_write_buffer_size()); };
  const std::string written = clog(*w.transport);
  CHECK(w.protocol->count("pause") == 1);
  co_await settle(loop);
  CHECK(w.protocol->count("resume") == 0);
  CHECK(co_await w.peer->read_exactly(written.size()) == written);
  co_await until([&] { return w.transport->get_write_buffer_size() == 0; });
  CHECK(w.protocol->count("pause") == 1);
  CHECK(w.protocol->count("resume") == 1);
  REQUIRE(sizes.size() == 2);
  CHECK(sizes[0] > w.transport->get_write_buffer_limits().high);
  CHECK(sizes[1] <= w.transport->get_write_buffer_limits().low);
  // And again.
  const std::string more = clog(*w.transport);
  CHECK(w.protocol->count("pause") == 2);
  CHECK(co_await w.peer->read_exactly(more.size()) == more);
  co_await until([&] { return w.protocol->count("resume") == 2; });
  co_await finish(w);
}

WEIR_TEST("FLOW-002 no pause_writing at or below the high-water mark") {
  auto w = co_await wire(loop, true);
  w.transport->set_write_buffer_limits(64 * 1024 * 1024);
  clog(*w.transport);
  CHECK(w.protocol->count("pause") == 0);
  const auto size = static_cast<std::ptrdiff_t>(w.transport->get_write_buffer_size());
  const auto just = size + static_cast<std::ptrdiff_t>(w.peer->on_line(1));
  w.transport->set_write_buffer_limits(just);
  CHECK(w.protocol->count("pause") == 0);
  w.transport->write("x");
  CHECK(static_cast<std::ptrdiff_t>(w.transport->get_write_buffer_size()) == just);
  CHECK(w.protocol->count("pause") == 0);
  w.transport->write("x");
  CHECK(w.protocol->count("pause") == 1);
  co_await finish(w);
}

WEIR_TEST("FLOW-003 set_write_buffer_limits has defaults and refuses nonsense") {
  auto w = co_await wire(loop);
  Transport& t = *w.transport;
  CHECK(t.get_write_buffer_limits() == WriteBufferLimits{16 * 1024, 64 * 1024});
  t.set_write_buffer_limits(1000);
  CHECK(t.get_write_buffer_limits() == WriteBufferLimits{250, 1000});
  t.set_write_buffer_limits({}, 1000);
  CHECK(t.get_write_buffer_limits() == WriteBufferLimits{1000, 4000});
  t.set_write_buffer_limits(7, 7);
  CHECK(t.get_write_buffer_limits() == WriteBufferLimits{7, 7});
  t.set_write_buffer_limits();
  CHECK(t.get_write_buffer_limits() == WriteBufferLimits{16 * 1024, 64 * 1024});
  CHECK_THROWS_AS(t.set_write_buffer_limits(7, 8), std::invalid_argument);
  CHECK_THROWS_AS(t.set_write_buffer_limits(-1), std::invalid_argument);
  CHECK_THROWS_AS(t.set_write_buffer_limits(7, -1), std::invalid_argument);
  CHECK_THROWS_AS(t.set_write_buffer_limits({}, -1), std::invalid_argument);
  CHECK(t.get_write_buffer_limits() == WriteBufferLimits{16 * 1024, 64 * 1024});
  co_await finish(w);
}

WEIR_TEST("FLOW-004 set_write_buffer_limits(0) pauses as soon as anything is buffered") {
  auto w = co_await wire(loop, true);
  w.transport->set_write_buffer_limits(0);
  std::string written;
  while (w.transport->get_write_buffer_size() == 0) {
    CHECK(w.protocol->count("pause") == w.protocol->count("resume"));
    w.transport->write("x");
    written += "x";
    co_await sleep(0s);
    REQUIRE(written.size() < 10'000'000);
    w.transport->write(pattern(100'000));
    written += pattern(100'000);
  }
  CHECK(w.protocol->count("pause") == w.protocol->count("resume") + 1);
  CHECK(co_await w.peer->read_exactly(written.size()) == written);
  co_await until([&] { return w.protocol->count("pause") == w.protocol->count("resume"); });
  CHECK(w.transport->get_write_buffer_size() == 0);
  co_await finish(w);
}

WEIR_TEST("FLOW-005 get_write_buffer_size counts what the system has not taken") {
  auto w = co_await wire(loop, true);
  CHECK(w.transport->get_write_buffer_size() == 0);
  const std::string written = clog(*w.transport);
  co_await settle(loop);
  const std::size_t buffered = w.transport->get_write_buffer_size();
  CHECK(buffered > 0);
  CHECK(buffered < written.size());
  w.transport->write("123");
  CHECK(w.transport->get_write_buffer_size() == buffered + w.peer->on_line(3));
  w.transport->write(Bytes(std::string_view("4567")));
  w.transport->writelines(pieces_of("89", 1));
  CHECK(w.transport->get_write_buffer_size() ==
        buffered + w.peer->on_line(3) + w.peer->on_line(4) + w.peer->on_line(2));
  // What is neither buffered nor read is in the system's hands.
  const std::string read = co_await w.peer->read_exactly(written.size() - buffered);
  co_await until([&] { return w.transport->get_write_buffer_size() < buffered; });
  CHECK(co_await w.peer->read_exactly(buffered + 9) == written.substr(read.size()) + "123456789");
  co_await until([&] { return w.transport->get_write_buffer_size() == 0; });
  co_await finish(w);
}

WEIR_TEST(
    "FLOW-006 pause_writing comes from inside the write that crossed the mark, after the data was taken "
    "over") {
  auto w = co_await wire(loop, true);
  w.transport->set_write_buffer_limits(64 * 1024 * 1024);
  std::string written = clog(*w.transport);
  const std::size_t buffered = w.transport->get_write_buffer_size();
  w.transport->set_write_buffer_limits(static_cast<std::ptrdiff_t>(buffered));
  std::string data = "crosses the mark";
  std::size_t size_in_pause = 0;
  w.protocol->on_pause = [&] {
    size_in_pause = w.transport->get_write_buffer_size();
    std::fill(data.begin(), data.end(), '#');  // it is ours again
  };
  written += data;
  w.transport->write(data);
  CHECK(size_in_pause == buffered + w.peer->on_line(data.size()));
  CHECK(co_await w.peer->read_exactly(written.size()) == written);
  co_await finish(w);
}

WEIR_TEST("FLOW-007 an exception of pause_writing or resume_writing is reported and loses no data") {
  auto w = co_await wire(loop, true);
  w.protocol->on_pause = [] { throw std::domain_error("pause"); };
  w.protocol->on_resume = [] { throw std::domain_error("resume"); };
  std::string written = clog(*w.transport);
  const Report paused = env.expect_report("pause_writing");
  CHECK(message_of(paused.exception) == "pause");
  CHECK((paused.has_transport && paused.has_protocol));
  w.transport->write("more");
  written += "more";
  CHECK(co_await w.peer->read_exactly(written.size()) == written);
  co_await until([&] { return w.transport->get_write_buffer_size() == 0; });
  CHECK(message_of(env.expect_report("resume_writing").exception) == "resume");
  CHECK(w.protocol->lost == 0);
  w.transport->write("goes on");
  CHECK(co_await w.peer->read_exactly(7) == "goes on");
  co_await finish(w);
}

WEIR_TEST("FLOW: resume_writing may write, close and abort") {
  auto writes = co_await wire(loop, true);
  bool wrote = false;
  writes.protocol->on_resume = [&] {
    if (!std::exchange(wrote, true)) {
      writes.transport->write(pattern(clogging));
    }
  };
  const std::string first = clog(*writes.transport);
  CHECK(co_await writes.peer->read_exactly(first.size() + clogging) == first + pattern(clogging));
  co_await finish(writes);

  auto closes = co_await wire(loop, true);
  closes.protocol->on_resume = [&] { closes.transport->close(); };
  const std::string all = clog(*closes.transport);
  CHECK(co_await closes.peer->read_all() == all);
  co_await until([&] { return closes.protocol->lost != 0; });

  auto aborts = co_await wire(loop, true);
  aborts.protocol->on_resume = [&] { aborts.transport->abort(); };
  const std::string some = clog(*aborts.transport);
  CHECK(some.starts_with(co_await aborts.peer->read_all()));
  co_await until([&] { return aborts.protocol->lost != 0; });

  if (over_tls()) {
    co_return;
  }
  auto ends = co_await wire(loop, true);
  ends.protocol->on_resume = [&] { ends.transport->write_eof(); };
  const std::string text = clog(*ends.transport);
  CHECK(co_await ends.peer->read_all() == text);
  co_await finish(ends);
}
