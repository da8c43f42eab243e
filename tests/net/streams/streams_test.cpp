// STRM: readers and writers over connections.
#include "tests/net/folder.hpp"
#include "tests/net/net_test.hpp"

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// A reader and a writer, and the peer at the other end.
class Line {
 public:
  Line(StreamPair pair, std::unique_ptr<Peer> far)
      : reader(std::move(pair.first)), writer(std::move(pair.second)), peer(std::move(far)) {}
  Ref<StreamReader> reader;
  Ref<StreamWriter> writer;
  std::unique_ptr<Peer> peer;
};

Coro<Line> line_to_socket(EventLoop& loop, bool small = false, std::ptrdiff_t limit = default_stream_limit) {
  SocketPair sockets = co_await connected_sockets(loop, small);
  FarEnd far = far_end(loop, std::move(sockets.far));
  const ConnectionOptions options = near_end(sockets.near);
  StreamPair pair = co_await open_connection(options, limit);
  if (far.handshake) {
    co_await *far.handshake;
  }
  co_return Line(std::move(pair), std::move(far.peer));
}

ServerOptions serving() {
  ServerOptions options;
  options.host = "127.0.0.1";
  options.ssl = server_ssl();
  return options;
}

Coro<StreamPair> connect(Address address) {
  const std::string host = address.host();
  ConnectionOptions options;
  options.host = host;
  options.port = address.port();
  options.ssl = client_ssl();
  options.server_hostname = server_name();
  co_return co_await open_connection(options);
}

Coro<void> echo_lines(Ref<StreamReader> reader, Ref<StreamWriter> writer) {
  while (auto line = co_await reader->next()) {
    writer->write(std::move(*line));
    co_await writer->drain();
  }
  writer->close();
  co_await writer->wait_closed();
}

Coro<void> end(Line& line) {
  line.writer->transport()->abort();
  co_await line.writer->wait_closed();
}

Coro<void> drain_and_note(Ref<StreamWriter> writer, std::string& notes, char name) {
  try {
    co_await writer->drain();
    notes += name;
  } catch (const std::system_error& e) {
    notes += e.code() == std::errc::connection_reset || e.code() == std::errc::broken_pipe ? '!' : '?';
  }
}

// Waits until the server's handlers have let go of all connections.
Coro<void> stop(Ref<Server> server) {
  server->close();
  co_await server->wait_closed();
}

}  // namespace

WEIR_TEST("STRM-001 open_connection and start_server give readers and writers; the handler is a coroutine") {
  const Ref<Server> server = co_await start_server(&echo_lines, serving());
  auto [reader, writer] = co_await connect(address_of(server));
  writer->write("one\ntw");
  writer->write(Bytes("o\n"));
  const std::span<const std::byte> pieces[] = {as_bytes("th"), as_bytes(over_tls() ? "ree\n" : "ree")};
  writer->writelines(pieces);
  const Bytes first = co_await reader->readline();
  CHECK(first == "one\n");
  CHECK(writer->get_extra_info<extra::peername>() == address_of(server));
  CHECK(writer->can_write_eof() == !over_tls());
  if (over_tls()) {
    const Bytes rest = co_await reader->readexactly(10);
    CHECK(rest == "two\nthree\n");
  } else {
    writer->write_eof();
    const Bytes rest = co_await reader->read();
    CHECK(rest == "two\nthree");
    CHECK(reader->at_eof());
  }
  writer->close();
  co_await writer->wait_closed();
  co_await stop(server);
}

WEIR_TEST("STRM-001 open_unix_connection and start_unix_server do the same under a path") {
  if (lacks("STRM-001", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("lines");
  const Ref<Server> server = co_await start_unix_server(&echo_lines, {.path = path});
  auto [reader, writer] = co_await open_unix_connection({.path = path});
  writer->write("one\ntwo");
  writer->write_eof();
  const Bytes first = co_await reader->readline();
  CHECK(first == "one\n");
  CHECK(writer->get_extra_info<extra::peername>() == Address::unix_path(path));
  const Bytes rest = co_await reader->read();
  CHECK(rest == "two");
  writer->close();
  co_await writer->wait_closed();
  co_await stop(server);
  CHECK_THROWS_AS(co_await open_unix_connection({.path = path}), std::system_error);
  CHECK_THROWS_AS((void)start_unix_server(&echo_lines, {}), std::invalid_argument);
}

WEIR_TEST("STRM-001 the handler is a plain function") {
  Ref<StreamReader> far_reader;
  Ref<StreamWriter> far_writer;
  const auto keep = [&](Ref<StreamReader> reader, Ref<StreamWriter> writer) {
    far_reader = std::move(reader);
    far_writer = std::move(writer);
  };
  const Ref<Server> server = co_await start_server(keep, serving());
  auto [reader, writer] = co_await connect(address_of(server));
  co_await until([&] { return far_writer != nullptr; });
  writer->write("hi");
  const Bytes heard = co_await far_reader->readexactly(2);
  CHECK(heard == "hi");
  far_writer->write("bye");
  far_writer->close();
  const Bytes answer = co_await reader->read();
  CHECK(answer == "bye");
  writer->close();
  co_await writer->wait_closed();
  co_await stop(server);
}

WEIR_TEST("STRM-001 open_connection throws what create_connection throws") {
  const auto options = ConnectionOptions{.host = "127.0.0.1", .port = closed_port()};
  CHECK_THROWS_AS(co_await open_connection(options), std::system_error);
  CHECK_THROWS_AS((void)open_connection({}), std::invalid_argument);
}

WEIR_TEST("STRM-011 readexactly gives more than the limit, though the transport pauses in between") {
  Line line = co_await line_to_socket(loop, false, 1000);
  const std::string sent = pattern(500'000);
  Task<void> sending = line.peer->start_sending(sent);
  const Bytes got = co_await line.reader->readexactly(500'000);
  CHECK(got == sent);
  co_await sending;
  co_await end(line);
}

WEIR_TEST("STRM-011 readexactly of a reader whose transport is paused already") {
  Line line = co_await line_to_socket(loop, false, 1000);
  const std::string sent = pattern(500'000);
  Task<void> sending = line.peer->start_sending(sent);
  co_await until([&] { return !line.writer->transport()->is_reading(); });
  const Bytes got = co_await line.reader->readexactly(500'000);
  CHECK(got == sent);
  co_await sending;
  co_await end(line);
}

WEIR_TEST("STRM-005 a line that is dropped resumes the transport") {
  Line line = co_await line_to_socket(loop, true, 1000);
  Task<void> sending = line.peer->start_sending(std::string(5000, 'x') + "\nnext\n");
  co_await until([&] { return !line.writer->transport()->is_reading(); });
  CHECK_THROWS_AS(co_await line.reader->readline(), std::invalid_argument);
  CHECK(line.writer->transport()->is_reading());
  Bytes last;
  while (last != "next\n") {
    try {
      last = co_await line.reader->readline();
    } catch (const std::invalid_argument&) {
    }
  }
  co_await sending;
  co_await end(line);
}

namespace {

// Only pauses and resumes, and counts that.
class Pausing final : public Transport {
 public:
  explicit Pausing(EventLoop& loop) : loop_(loop) {}
  void close() noexcept override { closing_ = true; }
  void abort() noexcept override { closing_ = true; }
  bool is_closing() const noexcept override { return closing_; }
  Ref<BaseProtocol> get_protocol() const noexcept override { return {}; }
  EventLoop& get_loop() const noexcept override { return loop_; }
  void pause_reading() override { ++pauses; }
  void resume_reading() override { ++resumes; }

  int pauses = 0;
  int resumes = 0;

 private:
  EventLoop& loop_;
  bool closing_ = false;
};

}  // namespace

WEIR_TEST("STRM-016 paused above twice the limit, resumed at the limit, once each") {
  for (const bool into : {false, true}) {
    CAPTURE(into);
    auto reader = make_ref<StreamReader>(loop, 100);
    auto transport = make_ref<Pausing>(loop);
    reader->set_transport(transport);
    reader->feed_data(pattern(200));
    CHECK(transport->pauses == 0);
    reader->feed_data("x");
    CHECK(transport->pauses == 1);
    reader->feed_data("still on its way");
    CHECK(transport->pauses == 1);
    std::vector<std::byte> memory(116);
    for (const std::size_t count : {116, 1}) {
      CHECK(transport->resumes == 0);
      if (into) {
        co_await reader->read_into(std::span(memory).first(count));
      } else {
        co_await reader->read(static_cast<std::ptrdiff_t>(count));
      }
    }
    CHECK(transport->resumes == 1);
    co_await reader->read(100);
    CHECK(transport->resumes == 1);
    CHECK(transport->pauses == 1);
  }
}

WEIR_TEST("STRM-016 a full buffer pauses the transport, a drained one resumes it; the peer has to wait") {
  Line line = co_await line_to_socket(loop, true, 1000);
  const std::string sent = pattern(clogging);
  Task<void> sending = line.peer->start_sending(sent);
  co_await until([&] { return !line.writer->transport()->is_reading(); });
  co_await settle(loop);
  CHECK_FALSE(sending.done());
  std::string got;
  const Bytes first = co_await line.reader->read(1);
  got += first.view();
  CHECK_FALSE(line.writer->transport()->is_reading());
  while (!line.writer->transport()->is_reading()) {
    const Bytes piece = co_await line.reader->read(100);
    got += piece.view();
  }
  CHECK_FALSE(sending.done());
  while (got.size() < sent.size()) {
    const Bytes piece = co_await line.reader->read(100'000);
    REQUIRE_FALSE(piece.empty());
    got += piece.view();
  }
  CHECK(got == sent);
  co_await sending;
  co_await end(line);
}

WEIR_TEST("STRM-016 a transport that cannot be paused fills the buffer") {
  class Plain final : public Transport {
   public:
    explicit Plain(EventLoop& loop) : loop_(loop) {}
    void close() noexcept override {}
    void abort() noexcept override {}
    bool is_closing() const noexcept override { return true; }
    Ref<BaseProtocol> get_protocol() const noexcept override { return {}; }
    EventLoop& get_loop() const noexcept override { return loop_; }

   private:
    EventLoop& loop_;
  };
  auto reader = make_ref<StreamReader>(loop, 2);
  reader->set_transport(make_ref<Plain>(loop));
  CHECK_THROWS_AS(reader->set_transport(make_ref<Plain>(loop)), RuntimeError);
  reader->feed_data("more than twice");
  reader->feed_data(" the limit");
  reader->feed_eof();
  const Bytes all = co_await reader->read();
  CHECK(all == "more than twice the limit");
}

WEIR_TEST("STRM-017 drain waits while writing is paused, and returns at once otherwise") {
  Line line = co_await line_to_socket(loop, true);
  bool others_ran = false;
  loop.call_soon([&] { others_ran = true; });
  line.writer->write("x");
  co_await line.writer->drain();
  CHECK_FALSE(others_ran);
  std::string notes;
  std::string written = "x" + clog(*line.writer->transport());
  Task<void> draining = loop.create_task(drain_and_note(line.writer, notes, 'a'));
  co_await settle(loop);
  CHECK(notes.empty());
  const std::string got = co_await line.peer->read_exactly(written.size());
  CHECK(got == written);
  co_await draining;
  CHECK(notes == "a");
  co_await line.writer->drain();  // at once again
  co_await end(line);
}

WEIR_TEST("STRM-017 drain raises on a lost connection, also when that comes while it waits") {
  Line line = co_await line_to_socket(loop, true);
  clog(*line.writer->transport());
  std::string notes;
  Task<void> draining = loop.create_task(drain_and_note(line.writer, notes, 'a'));
  co_await sleep(0s);
  line.peer->reset();
  co_await draining;
  CHECK(notes == "!");
  CHECK_THROWS_AS(co_await line.writer->drain(), std::system_error);
  CHECK_THROWS_AS(co_await line.reader->read(1), std::system_error);
}

WEIR_TEST("STRM-017 drain after close gives the connection the turn to end, then raises") {
  Line line = co_await line_to_socket(loop);
  line.writer->close();
  std::string notes;
  co_await drain_and_note(line.writer, notes, 'a');
  CHECK(notes == (over_tls() ? "a" : "!"));  // TLS takes leave, which takes longer
  CHECK(co_await line.peer->read_all() == "");
  co_await line.writer->wait_closed();
  const Bytes end_of_stream = co_await line.reader->read();
  CHECK(end_of_stream.empty());
}

WEIR_TEST("STRM-017 drain after close waits while writing is paused, and a cancelled one does not") {
  Line line = co_await line_to_socket(loop, true);
  const std::string written = clog(*line.writer->transport());
  line.writer->close();
  std::string notes;
  Task<void> draining = loop.create_task(drain_and_note(line.writer, notes, 'a'));
  for (int turns = 0; turns != 4; ++turns) {
    CAPTURE(turns);
    Task<void> cancelled = loop.create_task(drain_and_note(line.writer, notes, 'b'));
    for (int i = 0; i != turns; ++i) {
      co_await sleep(0s);
    }
    cancelled.cancel();
    co_await settle(loop);
    CHECK(cancelled.cancelled());
  }
  CHECK(notes.empty());
  const std::string got = co_await line.peer->read_all();
  CHECK(got == written);
  co_await draining;
  CHECK(notes == "a");
  co_await line.writer->wait_closed();
}

WEIR_TEST("STRM-017 drain raises what the reader failed with, and gives way to others now and then") {
  Line line = co_await line_to_socket(loop);
  bool others_ran = false;
  loop.call_soon([&] { others_ran = true; });
  int drains = 0;
  for (; !others_ran && drains != 1000; ++drains) {
    co_await line.writer->drain();
  }
  CHECK(drains > 10);
  CHECK(others_ran);
  line.reader->set_exception(std::make_exception_ptr(std::out_of_range("of the reader")));
  CHECK_THROWS_AS(co_await line.writer->drain(), std::out_of_range);
  co_await end(line);
}

WEIR_TEST("STRM-018 a drain that is cancelled in the turn in which all are released") {
  auto transport = make_ref<Pausing>(loop);
  auto reader = make_ref<StreamReader>(loop);
  auto protocol = make_ref<StreamReaderProtocol>(reader);
  auto writer = make_ref<StreamWriter>(transport, protocol, reader);
  protocol->pause_writing();
  std::string notes;
  std::vector<Task<void>> tasks;
  for (const char name : {'a', 'b', 'c'}) {
    tasks.push_back(loop.create_task(drain_and_note(writer, notes, name)));
  }
  co_await sleep(0s);
  tasks[0].cancel();
  protocol->resume_writing();
  tasks[2].cancel();
  co_await settle(loop);
  CHECK(tasks[0].cancelled());
  CHECK(tasks[1].done());
  CHECK(tasks[2].cancelled());
  CHECK(notes == "b");
  writer->close();
}

WEIR_TEST("STRM-018 all who wait in drain are released together; a cancelled one leaves") {
  Line line = co_await line_to_socket(loop, true);
  const std::string written = clog(*line.writer->transport());
  std::string notes;
  std::vector<Task<void>> tasks;
  for (const char name : {'a', 'b', 'c'}) {
    tasks.push_back(loop.create_task(drain_and_note(line.writer, notes, name)));
  }
  co_await sleep(0s);
  tasks[1].cancel();
  CHECK_THROWS_AS(co_await tasks[1], CancelledError);
  CHECK(notes.empty());
  const std::string got = co_await line.peer->read_exactly(written.size());
  co_await tasks[0];
  co_await tasks[2];
  CHECK(notes == "ac");
  co_await end(line);
}

WEIR_TEST("STRM-019 wait_closed returns when the connection is closed, to everybody") {
  Line line = co_await line_to_socket(loop, true);
  CHECK_FALSE(line.writer->is_closing());
  const std::string written = clog(*line.writer->transport());
  line.writer->close();
  CHECK(line.writer->is_closing());
  auto waiting = ensure_future(line.writer->wait_closed(), &loop);
  auto cancelled = ensure_future(line.writer->wait_closed(), &loop);
  co_await settle(loop);
  CHECK_FALSE(waiting.done());
  cancelled.cancel();
  CHECK_THROWS_AS(co_await cancelled, CancelledError);
  const std::string got = co_await line.peer->read_all();
  CHECK(got == written);
  co_await waiting;
  co_await line.writer->wait_closed();
}

WEIR_TEST("STRM-019 wait_closed throws what the connection was lost with") {
  Line line = co_await line_to_socket(loop, true);
  clog(*line.writer->transport());
  line.peer->reset();
  CHECK_THROWS_AS(co_await line.writer->wait_closed(), std::system_error);
  CHECK_THROWS_AS(co_await line.writer->wait_closed(), std::system_error);
  CHECK(line.reader->exception() != nullptr);
}

namespace {

// Keeps its writer, and fails or returns as the other end asks for.
Coro<void> keep_and_obey(std::vector<Ref<StreamWriter>>& writers, Ref<StreamReader> reader,
                         Ref<StreamWriter> writer) {
  writers.push_back(writer);
  const Bytes asked = co_await reader->readexactly(1);
  if (asked == "f") {
    throw std::out_of_range("of the handler");
  }
  writer->write("returns");
}

}  // namespace

WEIR_TEST("STRM-020 a handler that fails is reported and its connection closed") {
  const auto failing = [](Ref<StreamReader> reader, Ref<StreamWriter> writer) -> Coro<void> {
    const Ref<StreamWriter> held = std::move(writer);
    co_await reader->read(1);
    throw std::out_of_range("of the handler");
  };
  const Ref<Server> server = co_await start_server(failing, serving());
  auto [reader, writer] = co_await connect(address_of(server));
  writer->write("x");
  const Bytes nothing = co_await reader->read();
  CHECK(nothing.empty());
  writer->close();
  co_await writer->wait_closed();
  co_await stop(server);
  const Report report = env.expect_report("Unhandled exception in client_connected_cb");
  CHECK(message_of(report.exception) == "of the handler");
  CHECK(report.has_transport);
  env.expect_log("unclosed <StreamWriter");  // its frame is gone before anybody hears of the failure
}

WEIR_TEST(
    "STRM-020 the connection of a handler that fails is closed, whoever has its writer; else it stays") {
  std::vector<Ref<StreamWriter>> writers;
  const auto handler = [&writers](Ref<StreamReader> reader, Ref<StreamWriter> writer) {
    return keep_and_obey(writers, std::move(reader), std::move(writer));
  };
  const Ref<Server> server = co_await start_server(handler, serving());
  auto [failing, to_failing] = co_await connect(address_of(server));
  to_failing->write("f");
  const Bytes nothing = co_await failing->read();
  CHECK(nothing.empty());
  CHECK(writers[0]->is_closing());
  env.expect_report("Unhandled exception in client_connected_cb");
  auto [returning, to_returning] = co_await connect(address_of(server));
  to_returning->write("r");
  const Bytes answer = co_await returning->readexactly(7);
  CHECK(answer == "returns");
  co_await settle(loop);
  CHECK_FALSE(writers[1]->is_closing());
  writers[1]->close();
  to_failing->close();
  to_returning->close();
  co_await to_failing->wait_closed();
  co_await to_returning->wait_closed();
  co_await stop(server);
}

namespace {

// What a handler that waits leaves for the test.
struct Waiting {
  Ref<StreamWriter> writer;
  Ref<TaskBase> task;
};

Coro<void> wait_for_ever(Waiting& waiting, Ref<StreamWriter> writer) {
  waiting.writer = std::move(writer);
  waiting.task = current_task();
  co_await sleep(1h);
}

}  // namespace

WEIR_TEST("STRM-020 a handler that is cancelled is not reported; its connection is closed") {
  Waiting waiting;
  const auto handler = [&waiting](const Ref<StreamReader>&, Ref<StreamWriter> writer) {
    return wait_for_ever(waiting, std::move(writer));
  };
  const Ref<Server> server = co_await start_server(handler, serving());
  auto [reader, writer] = co_await connect(address_of(server));
  co_await until([&] { return waiting.task != nullptr; });
  waiting.task->cancel();
  const Bytes nothing = co_await reader->read();
  CHECK(nothing.empty());
  CHECK(waiting.writer->is_closing());
  writer->close();
  co_await writer->wait_closed();
  co_await stop(server);
}

WEIR_TEST("STRM-022 dropping a writer that is not closed warns and closes the connection") {
  Line line = co_await line_to_socket(loop);
  line.writer.reset();
  env.expect_log("unclosed <StreamWriter peername=127.0.0.1:");
  const std::string nothing = co_await line.peer->read_all();
  CHECK(nothing.empty());
  const Bytes end_of_stream = co_await line.reader->read();
  CHECK(end_of_stream.empty());
}

WEIR_TEST("STRM-023 a read that is cancelled again and again misses no byte") {
  Line line = co_await line_to_socket(loop);
  const std::string sent = pattern(20'000);
  Task<void> sending = line.peer->start_sending(sent);
  std::string got;
  int cancelled = 0;
  while (got.size() < sent.size()) {
    Task<Bytes> reading = ensure_future(line.reader->read(777), &loop);
    for (int turns = cancelled % 3; turns >= 0; --turns) {
      co_await sleep(0s);
    }
    if (cancelled < 50) {
      reading.cancel();
      ++cancelled;
    }
    try {
      const Bytes piece = co_await reading;
      got += piece.view();
    } catch (const CancelledError&) {
    }
  }
  CHECK(got == sent);
  co_await sending;
  co_await end(line);
}

TEST_CASE_FIXTURE(LoopFixture, "STRM-022 a loop that is closed lets go of streams, whoever waits in them") {
  Ref<StreamReader> reader;
  {
    const auto hold = [](EventLoop& on, Ref<StreamReader>& out) -> Coro<void> {
      Line line = co_await line_to_socket(on);
      out = line.reader;
      clog(*line.writer->transport());
      auto waiting = ensure_future(line.writer->wait_closed(), &on);
      auto draining = ensure_future(line.writer->drain(), &on);
      co_await line.reader->readline();
    };
    const Task<void> holding = loop.create_task(hold(loop, reader));
    run_until(loop, [&] { return reader != nullptr; });
    drain(loop);
  }
  loop.close();
  env.expect_log("unclosed transport");
  for (const char* waits : {"awaiting drain", "awaiting wait_closed", "awaiting readuntil"}) {
    env.expect_report(waits);
  }
}
