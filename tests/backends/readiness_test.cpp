// The operation layer over a scripted poller: which system calls it makes, and what it makes of every order
// of events.
#include "tests/backends/fake_poller.hpp"

#include <doctest/doctest.h>

#include "backends/refusing.hpp"

#include <memory>

using namespace fake;

namespace {

struct Reading : ReadStream {
  Reading() {
    on_data = [](ReadStream& stream, std::span<std::byte> data) noexcept {
      auto& self = static_cast<Reading&>(stream);
      self.text.append(reinterpret_cast<const char*>(data.data()), data.size());
      self.largest = std::max(self.largest, data.size());
    };
    on_done = [](Op& op) noexcept { ++static_cast<Reading&>(op).ends; };
  }
  std::string text;
  std::size_t largest = 0;
  int ends = 0;
};

template <class O>
struct Waited : O {
  Waited() {
    this->on_done = [](Op& op) noexcept { ++static_cast<Waited&>(op).answers; };
  }
  int answers = 0;
};

struct Watching : Watch {
  explicit Watching(Direction a_direction) {
    direction = a_direction;
    on_ready = [](Watch& watch) noexcept { ++static_cast<Watching&>(watch).calls; };
  }
  int calls = 0;
};

ConstBuffer bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// Closes somebody else's socket in its callback, opens another with the same number, and reads from that.
struct Closer : Reading {
  Loop<true>* loop;
  BackendHandle** victim;
  BackendHandle** fresh;
  Reading* victims;
  Reading* freshs;
  native_socket fresh_native;
};

}  // namespace

TEST_CASE("readiness: a message costs one receive and one send, and a connection one registration") {
  Loop<true> loop;
  Counts& counts = loop.kernel.counts;
  const native_socket native = loop.kernel.open(1 << 20);
  BackendHandle* handle = loop.backend.attach(native, &handle);
  Reading reading;
  reading.handle = handle;
  REQUIRE(loop.backend.start(reading) == Started::pending);
  CHECK(counts.receives == 0);  // no probe
  loop.turn();
  CHECK(counts.receives == 0);
  for (int i = 0; i < 1000; ++i) {
    loop.kernel.arrive(native, "message");
    loop.turn();
    const ConstBuffer buffer = bytes("answer");
    Waited<SendOp> sending;
    sending.handle = handle;
    sending.buffers = std::span(&buffer, 1);
    CHECK(loop.backend.start(sending) == Started::done);
    CHECK(sending.result == 6);
  }
  CHECK(reading.text.size() == 7000);
  CHECK(counts.receives == 1000);
  CHECK(counts.empty_receives == 0);
  CHECK(counts.sends == 1000);
  CHECK(counts.controls == 1);
  loop.backend.stop(reading);
  loop.backend.close(handle);
  CHECK(counts.controls == 2);
}

TEST_CASE("readiness: reads grow while they fill the buffer, as far as they may") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(native, &handle);
  Reading reading;
  reading.handle = handle;
  REQUIRE(loop.backend.start(reading) == Started::pending);
  const std::string much(1U << 20, 'x');
  const auto largest_read = [&] {
    reading.text.clear();
    reading.largest = 0;
    loop.kernel.arrive(native, much);
    while (reading.text.size() != much.size()) {
      loop.turn();
    }
    return reading.largest;
  };
  CHECK(largest_read() == 64U << 10);
  loop.backend.set_max_read_size(200'000);
  CHECK(largest_read() == 200'000);
  loop.backend.set_max_read_size(1024);
  CHECK(largest_read() == 1024);
  loop.backend.stop(reading);
  loop.backend.close(handle);
}

TEST_CASE("readiness: one-shot receives in a row cost one call each") {
  Loop<true> loop;
  Counts& counts = loop.kernel.counts;
  const native_socket native = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(native, &handle);
  std::array<std::byte, 64> memory;
  for (int i = 0; i < 100; ++i) {
    Waited<RecvOp> receiving;
    receiving.handle = handle;
    receiving.into = memory;
    CHECK(loop.backend.start(receiving) == Started::pending);
    loop.turn();
    CHECK(receiving.answers == 0);
    loop.kernel.arrive(native, "message");
    loop.turn();
    CHECK(receiving.answers == 1);
    CHECK(receiving.result == 7);
  }
  CHECK(counts.receives == 101);  // the first tried at once, as nothing was known
  CHECK(counts.controls == 1);
  loop.backend.close(handle);
  loop.run();
}

TEST_CASE("readiness: a send that was cut short does not try again before there is room") {
  Loop<true> loop;
  Counts& counts = loop.kernel.counts;
  const native_socket native = loop.kernel.open(4);
  BackendHandle* handle = loop.backend.attach(native, &handle);
  const ConstBuffer buffer = bytes("0123456789");
  Waited<SendOp> sending;
  sending.handle = handle;
  sending.buffers = std::span(&buffer, 1);
  CHECK(loop.backend.start(sending) == Started::done);
  CHECK(sending.result == 4);
  CHECK(loop.backend.start(sending) == Started::pending);
  CHECK(counts.sends == 1);
  loop.turns(3);
  CHECK(counts.sends == 1);
  loop.kernel.give_room(native, 100);
  loop.turn();
  CHECK(sending.answers == 1);
  CHECK(sending.result == 10);
  CHECK(counts.sends == 2);
  CHECK(counts.full_sends == 0);
  loop.backend.close(handle);
  loop.run();
}

TEST_CASE("readiness: a gather list longer than one call takes is not mistaken for a full socket") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open(1 << 20);
  BackendHandle* handle = loop.backend.attach(native, &handle);
  const std::vector<ConstBuffer> buffers(1500, bytes("ab"));
  Waited<SendOp> sending;
  sending.handle = handle;
  sending.buffers = buffers;
  CHECK(loop.backend.start(sending) == Started::done);
  CHECK(sending.result == 2048);
  sending.buffers = std::span(buffers).subspan(1024);
  CHECK(loop.backend.start(sending) == Started::done);
  CHECK(sending.result == 952);
  const std::array<ConstBuffer, 2> nothing{};
  sending.buffers = nothing;
  CHECK(loop.backend.start(sending) == Started::done);
  CHECK(sending.result == 0);
  loop.backend.close(handle);
  loop.run();
}

TEST_CASE("readiness: a reader that fills its buffer goes on in the next turn, after the others") {
  Loop<true> loop;
  const native_socket busy = loop.kernel.open();
  const native_socket calm = loop.kernel.open();
  BackendHandle* busy_handle = loop.backend.attach(busy, &busy_handle);
  BackendHandle* calm_handle = loop.backend.attach(calm, &calm_handle);
  Reading busy_reading;
  Reading calm_reading;
  busy_reading.handle = busy_handle;
  calm_reading.handle = calm_handle;
  loop.backend.start(busy_reading);
  loop.backend.start(calm_reading);
  loop.turn();
  loop.kernel.arrive(busy, std::string(200'000, 'b'));
  loop.kernel.arrive(calm, "c");
  loop.turn();
  CHECK(busy_reading.text.size() == 65536);
  CHECK(calm_reading.text == "c");
  loop.turns(3);
  CHECK(busy_reading.text.size() == 200'000);
  CHECK(loop.kernel.counts.receives == 5);
  CHECK(loop.queue.empty());
  loop.backend.close(busy_handle);
  loop.backend.close(calm_handle);
  loop.run();
}

TEST_CASE("readiness: the end that came with the data is read without another event") {
  for (const bool fails : {false, true}) {
    Loop<true> loop;
    const native_socket native = loop.kernel.open();
    BackendHandle* handle = loop.backend.attach(native, &handle);
    Reading reading;
    reading.handle = handle;
    loop.backend.start(reading);
    loop.turn();
    loop.kernel.arrive(native, "tail");
    loop.kernel.at(native).failed = fails ? ECONNRESET : 0;
    loop.kernel.at(native).peer_ended = !fails;
    loop.turns(2);
    CHECK(reading.text == "tail");
    CHECK(reading.ends == 1);
    CHECK(reading.result == (fails ? -ECONNRESET : 0));
    loop.backend.close(handle);
    loop.run();
  }
}

TEST_CASE("readiness: what the poller knows to be a reset is no end, whatever the receive says") {
  Loop<false> loop;
  const native_socket native = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(native, &handle);
  Reading reading;
  reading.handle = handle;
  loop.kernel.at(native).told_of_reset = true;
  loop.backend.start(reading);
  loop.kernel.at(native).peer_ended = true;
  loop.turns(2);
  CHECK(reading.result == -ECONNRESET);
  loop.backend.close(handle);
}

TEST_CASE("readiness: after a false alarm a message costs one receive again") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(native, &handle);
  Reading reading;
  reading.handle = handle;
  loop.backend.start(reading);
  loop.turn();
  loop.kernel.at(native).failed = EPROTO;  // an error is reported, and somebody else takes it
  loop.kernel.at(native).changed = true;
  loop.backend.poll(TimePoint::min());
  loop.kernel.at(native).failed = 0;
  loop.turn();
  CHECK(loop.kernel.counts.receives == 1);
  for (int i = 0; i < 10; ++i) {
    loop.kernel.arrive(native, "message");
    loop.turns(2);
  }
  CHECK(loop.kernel.counts.receives == 11);
  loop.backend.stop(reading);
  loop.backend.close(handle);
}

TEST_CASE("readiness: an owner without a buffer is asked again when there is news, not before") {
  Loop<true> loop;
  struct Refusing : Reading {
    bool has_room = false;
    int asked = 0;
    std::array<std::byte, 64> memory;
  };
  const native_socket native = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(native, &handle);
  Refusing reading;
  reading.handle = handle;
  reading.get_buffer = [](ReadStream& stream) noexcept -> std::span<std::byte> {
    auto& self = static_cast<Refusing&>(stream);
    ++self.asked;
    return self.has_room ? std::span<std::byte>(self.memory) : std::span<std::byte>();
  };
  loop.backend.start(reading);
  loop.kernel.arrive(native, "first ");
  loop.turns(10);
  CHECK(reading.asked == 1);
  CHECK(loop.queue.empty());
  loop.kernel.arrive(native, "second ");
  loop.turns(10);
  CHECK(reading.asked == 2);
  reading.has_room = true;
  loop.kernel.arrive(native, std::string(64, 'x'));  // fills the buffer: a further turn is needed
  loop.turns(3);
  CHECK(reading.text == "first second " + std::string(64, 'x'));
  loop.backend.stop(reading);
  loop.backend.close(handle);
}

TEST_CASE("readiness: a listener yields 64 connections a turn and skips those that died") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(native, &handle);
  static int accepted;
  accepted = 0;
  AcceptStream accepting;
  accepting.on_accept = [](AcceptStream&, native_socket, const RawAddress&) noexcept { ++accepted; };
  accepting.on_done = [](Op&) noexcept {};
  accepting.handle = handle;
  REQUIRE(loop.backend.start(accepting) == Started::pending);
  loop.kernel.at(native).waiting_connections = 150;
  loop.kernel.at(native).failed = ECONNABORTED;
  loop.kernel.at(native).changed = true;
  loop.turn();
  CHECK(accepted == 63);
  loop.turn();
  CHECK(accepted == 127);
  loop.turn();
  CHECK(accepted == 150);
  loop.turns(3);
  CHECK(loop.queue.empty());
  // Out of descriptors: the stream ends, and what waits is there for the next.
  loop.kernel.at(native).waiting_connections = 5;
  loop.kernel.at(native).failed = EMFILE;
  loop.kernel.at(native).changed = true;
  loop.turn();
  CHECK(accepting.state == OpState::idle);
  CHECK(accepting.result == -EMFILE);
  REQUIRE(loop.backend.start(accepting) == Started::pending);
  loop.turn();
  CHECK(accepted == 155);
  loop.backend.stop(accepting);
  loop.backend.close(handle);
  loop.run();
}

TEST_CASE("readiness: LESSON-005 a listener that can never accept is told so and is not tried for ever") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(native, &handle);
  AcceptStream streaming;
  streaming.on_accept = [](AcceptStream&, native_socket, const RawAddress&) noexcept { FAIL("accepted"); };
  streaming.on_done = [](Op&) noexcept {};
  streaming.handle = handle;
  REQUIRE(loop.backend.start(streaming) == Started::pending);
  loop.kernel.at(native).waiting_connections = 1;
  loop.kernel.at(native).changed = true;
  loop.kernel.forbidden = EPERM;
  loop.turns(3);
  CHECK(streaming.state == OpState::idle);
  CHECK(streaming.result == -EPERM);
  CHECK(loop.kernel.counts.accepts == 64);
  CHECK(loop.queue.empty());
  Waited<AcceptOp> accepting;
  accepting.handle = handle;
  CHECK(loop.backend.start(accepting) == Started::done);
  CHECK(accepting.result == -EPERM);
  loop.backend.close(handle);
  loop.run();
}

TEST_CASE("readiness: a connection is made, refused, and not made by somebody else's event") {
  Loop<true> loop;
  for (const int error : {0, ECONNREFUSED}) {
    const native_socket native = loop.kernel.open();
    BackendHandle* handle = loop.backend.attach(native, &handle);
    Waited<ConnectOp> connecting;
    connecting.handle = handle;
    REQUIRE(loop.backend.start(connecting) == Started::pending);
    loop.kernel.events.clear();
    loop.turns(2);
    loop.kernel.arrive(native, "");  // an edge with nothing behind it
    loop.turns(2);
    CHECK(connecting.answers == 0);
    loop.kernel.at(native).connecting = false;
    loop.kernel.at(native).failed = error;
    loop.kernel.at(native).changed = true;
    loop.turn();
    CHECK(connecting.answers == 1);
    CHECK(connecting.result == -error);
    loop.backend.close(handle);
    loop.run();
  }
}

TEST_CASE("readiness: a registration that the system refuses is the operation's answer") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(native, &handle);
  Reading reading;
  reading.handle = handle;
  loop.kernel.refusal = ENOSPC;
  CHECK(loop.backend.start(reading) == Started::done);
  CHECK(reading.result == -ENOSPC);
  CHECK(reading.state == OpState::idle);
  CHECK(loop.backend.pending(handle, Direction::read) == nullptr);
  CHECK(loop.backend.start(reading) == Started::pending);
  loop.backend.close(handle);
  loop.turn();
  CHECK(reading.result == -EBADF);
}

TEST_CASE("readiness: without a descriptor a poll that does not wait asks nobody") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(native, &handle);
  loop.turns(10);
  CHECK(loop.kernel.counts.polls == 0);
  Watching watching(Direction::read);
  REQUIRE(loop.backend.watch(native, watching) == 0);
  loop.turns(10);
  CHECK(loop.kernel.counts.polls == 10);
  loop.backend.unwatch(watching);
  loop.backend.close(handle);
  loop.turns(10);
  CHECK(loop.kernel.counts.polls == 10);
}

TEST_CASE("readiness: a watch makes the registration level-triggered, and its end gives it back") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open();
  Socket& socket = loop.kernel.at(native);
  BackendHandle* handle = loop.backend.attach(native, &handle);
  Reading reading;
  reading.handle = handle;
  loop.backend.start(reading);
  CHECK(socket.interest == (read_interest | write_interest | edge_interest));
  Watching watching(Direction::write);
  REQUIRE(loop.backend.watch(native, watching) == 0);
  CHECK(socket.interest == (read_interest | write_interest));
  loop.turns(3);
  CHECK(watching.calls == 3);
  loop.backend.stop(reading);
  loop.kernel.arrive(native, "x");
  loop.turns(2);
  CHECK(socket.interest == write_interest);  // nobody reads any more
  loop.backend.unwatch(watching);
  CHECK(socket.interest == (read_interest | write_interest | edge_interest));
  loop.backend.start(reading);
  loop.turns(2);
  CHECK(reading.text == "x");
  CHECK(watching.calls == 5);
  loop.backend.close(handle);
  CHECK_FALSE(socket.registered);
  loop.run();
}

TEST_CASE("readiness: a number attached anew, though nobody closed it here, is a new descriptor") {
  Loop<true> loop;
  const native_socket native = loop.kernel.open();
  BackendHandle* first = loop.backend.attach(native, &first);
  Reading lost;
  lost.handle = first;
  loop.backend.start(lost);
  Sockets::close(native);  // behind the backend's back
  REQUIRE(loop.kernel.open() == native);
  BackendHandle* second = loop.backend.attach(native, &second);
  CHECK(first == nullptr);
  Reading reading;
  reading.handle = second;
  loop.backend.start(reading);
  loop.kernel.arrive(native, "new");
  loop.turns(2);
  CHECK(lost.result == -EBADF);
  CHECK(lost.text.empty());
  CHECK(reading.text == "new");
  loop.backend.close(second);
  loop.run();

  // The same where the old one was only watched.
  const native_socket other = loop.kernel.open();
  Watching watching(Direction::read);
  REQUIRE(loop.backend.watch(other, watching) == 0);
  loop.turn();
  Sockets::close(other);
  REQUIRE(loop.kernel.open() == other);
  BackendHandle* third = loop.backend.attach(other, &third);
  loop.backend.unwatch(watching);
  Reading again;
  again.handle = third;
  REQUIRE(loop.backend.start(again) == Started::pending);
  loop.kernel.arrive(other, "there");
  loop.turns(2);
  CHECK(again.text == "there");
  loop.backend.close(third);
  loop.run();
}

// LESSONS: an event that was collected for a descriptor must not reach another that got its number since.
TEST_CASE("readiness: 100,000 rounds of closing and opening a number with its event later in the batch") {
  Loop<true> loop;
  loop.kernel.reports_stale = true;
  loop.kernel.is_shuffled = true;
  const native_socket closers = loop.kernel.open();
  BackendHandle* handle = loop.backend.attach(closers, &handle);
  Closer closer;
  closer.loop = &loop;
  closer.handle = handle;
  closer.on_data = [](ReadStream& stream, std::span<std::byte>) noexcept {
    auto& self = static_cast<Closer&>(stream);
    auto& backend = self.loop->backend;
    ++self.ends;
    backend.stop(*self.victims);
    backend.close(*self.victim);
    self.fresh_native = self.loop->kernel.open();
    *self.fresh = backend.attach(self.fresh_native, self.fresh);
    self.freshs->handle = *self.fresh;
    backend.start(*self.freshs);
    self.loop->kernel.arrive(self.fresh_native, "fresh");
  };
  loop.backend.start(closer);
  int in_one_batch = 0;
  for (int round = 0; round < 100'000; ++round) {
    const native_socket native = loop.kernel.open();
    BackendHandle* victim = loop.backend.attach(native, &victim);
    BackendHandle* fresh = nullptr;
    Reading victims;
    Reading freshs;
    victims.handle = victim;
    loop.backend.start(victims);
    closer.victim = &victim;
    closer.fresh = &fresh;
    closer.victims = &victims;
    closer.freshs = &freshs;
    closer.ends = 0;
    loop.kernel.arrive(native, "victim");
    loop.kernel.arrive(closers, "go");
    const int receives = loop.kernel.counts.receives;
    loop.turn();
    if (closer.ends != 1 || closer.fresh_native != native || !freshs.text.empty() || freshs.ends != 0) {
      FAIL("round ", round);
    }
    // Whoever came first: the victim's own event was run at most once, the fresh one's not at all.
    in_one_batch += victims.text.empty() ? 1 : 0;
    if (loop.kernel.counts.receives - receives > 2) {
      FAIL("a receive for a stale event in round ", round);
    }
    loop.turn();
    if (freshs.text != "fresh") {
      FAIL("the new descriptor was not served in round ", round);
    }
    loop.backend.stop(freshs);
    loop.backend.close(fresh);
    if (loop.kernel.old_tokens.size() > 64) {
      loop.kernel.old_tokens.erase(loop.kernel.old_tokens.begin(), loop.kernel.old_tokens.end() - 32);
    }
  }
  CHECK(in_one_batch > 10'000);  // the draw made both orders
  loop.backend.stop(closer);
  loop.backend.close(handle);
  loop.run();
}

TEST_CASE("the refusing backend refuses") {
  ReadyQueue queue;
  RefusingBackend backend(queue);
  Reading reading;
  Waited<ConnectOp> connecting;
  Waited<AcceptOp> accepting;
  Waited<RecvOp> receiving;
  Waited<SendOp> sending;
  AcceptStream listening;
  Waited<RecvFromOp> receiving_from;
  Waited<SendToOp> sending_to;
  DatagramStream datagrams;
  CHECK(backend.attach(3, nullptr) == nullptr);
  CHECK(backend.start(receiving_from) == Started::done);
  CHECK(backend.start(sending_to) == Started::done);
  CHECK(backend.start(datagrams) == Started::done);
  CHECK(backend.start(reading) == Started::done);
  CHECK(backend.start(connecting) == Started::done);
  CHECK(backend.start(accepting) == Started::done);
  CHECK(backend.start(receiving) == Started::done);
  CHECK(backend.start(sending) == Started::done);
  CHECK(backend.start(listening) == Started::done);
  for (const Op* op :
       std::initializer_list<const Op*>{&reading, &connecting, &accepting, &receiving, &sending, &listening,
                                        &receiving_from, &sending_to, &datagrams}) {
    CHECK(op->result == -ENOTSUP);
    CHECK(op->state == OpState::idle);
  }
  Watching watching(Direction::read);
  CHECK(backend.watch(3, watching) == -ENOTSUP);
  CHECK(backend.shutdown_write(nullptr) == -ENOTSUP);
  CHECK(RefusingBackend::Sockets::open(weir::AddressFamily::inet, weir::SocketType::stream, 0) == -ENOTSUP);
  native_socket pair[2];
  CHECK(RefusingBackend::Sockets::open_pair(pair) == -ENOTSUP);
  CHECK_FALSE(RefusingBackend::has(Capability::real_clock));
  backend.wake();
  backend.poll(TimePoint::max());
  backend.close_all();
  CHECK(queue.empty());
}
