// The clauses for sending files: SendFileOp answers once, says what was sent, and leaves the file as it is.
#include "tests/contract/connected.hpp"
#include "tests/support/system.hpp"
#include "tests/support/trait.hpp"

#include <filesystem>

using namespace contract;

namespace {

using Files = Backend::Files;
using weir::FileMode;
using weir::native_file;

// A file on the disk, open for reading.
class DiskFile {
 public:
  explicit DiskFile(std::string_view content)
      : folder_(weir::testing::make_scratch_folder("weir-clause-")), path_((folder_ / "file").string()) {
    const native_file made = opened(FileMode::write);
    while (!content.empty()) {
      const std::int64_t written = Files::write(made, std::as_bytes(std::span(content)));
      REQUIRE(written > 0);
      content.remove_prefix(static_cast<std::size_t>(written));
    }
    Files::close(made);
    native = opened(FileMode::read);
  }
  DiskFile(const DiskFile&) = delete;
  DiskFile& operator=(const DiskFile&) = delete;
  ~DiskFile() {
    CHECK(Files::close(native) == 0);  // no operation has closed it
    std::filesystem::remove_all(folder_);
  }
  native_file opened(FileMode mode) const {
    const std::int64_t result = Files::open(path_.c_str(), mode);
    REQUIRE(result >= 0);
    return static_cast<native_file>(result);
  }
  const std::string& path() const { return path_; }

  native_file native;

 private:
  std::filesystem::path folder_;
  std::string path_;
};

struct Sending : Waited<SendFileOp> {
  explicit Sending(native_file from, std::uint64_t at = 0, std::size_t most = 1 << 20) {
    file = from;
    offset = at;
    count = most;
  }
};

std::string read_to_end(End& end) {
  std::string text;
  while (end.receive(text) > 0) {
  }
  return text;
}

constexpr std::size_t large = 1 << 20;

// Sends the file, again from its beginning at its end, until nothing more is taken at once: what was taken.
// Leaves `op` pending.
std::string clog(End& end, Sending& op, std::string_view content) {
  std::string taken;
  for (;;) {
    op.offset = taken.size() % content.size();
    if (!end.loop.start(op, end.handle)) {
      end.loop.pass();
      if (!op.is_answered()) {
        break;
      }
    }
    REQUIRE(op.result > 0);
    taken += content.substr(op.offset, static_cast<std::size_t>(op.result));
  }
  REQUIRE(op.state == OpState::pending);
  return taken;
}

}  // namespace

TEST_CASE("clause 1: a file is sent by operations that answer once") {
  Loop loop;
  const std::string text = pattern(3000);
  const DiskFile file(text);
  for (int round = 0; round < 20; ++round) {
    Pair pair(loop);
    Sending sending(file.native);
    const std::int64_t result = loop.finish(sending, pair.client.handle);
    REQUIRE(result > 0);
    CHECK(sending.state == OpState::idle);
    loop.pass(1ms);
    CHECK(sending.answers == (sending.was_done ? 0 : 1));
    CHECK(loop.backend.pending(pair.client.handle, Direction::write) == nullptr);
    pair.client.close();
    CHECK(read_to_end(pair.server) == text.substr(0, static_cast<std::size_t>(result)));
  }
}

TEST_CASE("clause 3: an operation that sends a file may be destroyed by its own answer, the file closed") {
  Loop loop;
  static int live;
  live = 0;
  struct Dying : SendFileOp {
    Dying() { ++live; }
    ~Dying() {
      CHECK(Files::close(file) == 0);
      --live;
    }
  };
  const std::string text = pattern(large);
  const DiskFile file(text);
  for (int way = 0; way < 3; ++way) {
    CAPTURE(way);
    Pair pair(loop);
    {
      Sending first(file.native, 0, large);
      clog(pair.client, first, text);
      loop.backend.cancel(first);
      REQUIRE(loop.until([&] { return first.is_answered(); }));
    }
    auto* op = new Dying;
    op->file = file.opened(FileMode::read);
    op->count = large;
    op->handle = pair.client.handle;
    op->on_done = [](Op& done) noexcept { delete static_cast<Dying*>(&done); };
    REQUIRE(loop.backend.start(*op) == Started::pending);
    Reading reading;
    if (way == 0) {
      REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
    } else if (way == 1) {
      loop.backend.cancel(*op);
    } else {
      loop.backend.close(pair.client.handle);
    }
    REQUIRE(loop.until([&] { return live == 0; }));
  }
}

TEST_CASE("clause 4: a file that is cancelled answers once, and exactly what was told was sent") {
  const std::string text = pattern(large);
  const DiskFile file(text);
  for (int way = 0; way < 4; ++way) {
    CAPTURE(way);
    Loop loop;
    Pair pair(loop);
    Sending sending(file.native, 0, large);
    std::string taken = clog(pair.client, sending, text);
    std::string got;
    if (way != 0) {  // room is made, which is not yet known, or reported, or being used
      REQUIRE(pair.server.receive(got, large) > 0);
    }
    if (way == 2) {
      loop.collect(10ms);
    } else if (way == 3) {
      loop.turn(loop.backend.now() + 10ms);
    }
    if (!sending.is_answered()) {
      inside([&] { loop.backend.cancel(sending); });
      CHECK(sending.state == OpState::completing);
      inside([&] { loop.backend.cancel(sending); });  // does nothing
      CHECK(sending.answers == 0);
      REQUIRE(loop.until([&] { return sending.is_answered(); }));
    }
    CHECK((sending.result > 0 || sending.result == -ECANCELED));
    if (sending.result > 0) {
      taken += text.substr(sending.offset, static_cast<std::size_t>(sending.result));
    }
    loop.backend.cancel(sending);  // of an idle one: nothing
    loop.pass(1ms);
    CHECK(sending.answers == 1);
    pair.client.close();
    got += read_to_end(pair.server);
    CHECK((got == taken));
  }
}

TEST_CASE("clause 4: a file that is cancelled before its turn leaves the socket to the next operation") {
  Loop loop;
  const std::string text = pattern(1000);
  const DiskFile file(text);
  for (int round = 0; round < 40; ++round) {
    Pair pair(loop);
    Sending sending(file.native);
    std::size_t sent = 0;
    if (!loop.start(sending, pair.client.handle)) {
      if (round % 2 == 1) {
        loop.collect(1ms);
      }
      inside([&] { loop.backend.cancel(sending); });
      REQUIRE(loop.until([&] { return sending.is_answered(); }));
      CHECK(sending.answers == 1);
    }
    if (sending.result != -ECANCELED) {
      REQUIRE(sending.result > 0);
      sent = static_cast<std::size_t>(sending.result);
    }
    pair.client.send_all("next");
    pair.client.close();
    CHECK(read_to_end(pair.server) == text.substr(0, sent) + "next");
  }
}

TEST_CASE("clause 5: a file takes the writing side and leaves the reading side") {
  Loop loop;
  Pair pair(loop);
  const std::string text = pattern(large);
  const DiskFile file(text);
  Sending sending(file.native, 0, large);
  std::string taken = clog(pair.client, sending, text);
  CHECK(loop.backend.pending(pair.client.handle, Direction::write) == &sending);
  CHECK(loop.backend.pending(pair.client.handle, Direction::read) == nullptr);
  pair.server.send_all("meanwhile");
  CHECK(pair.client.receive_exactly(9) == "meanwhile");
  CHECK(sending.state == OpState::pending);
  std::string got;
  while (!sending.is_answered()) {
    REQUIRE(pair.server.receive(got) > 0);
  }
  REQUIRE(sending.result > 0);
  taken += text.substr(sending.offset, static_cast<std::size_t>(sending.result));
  CHECK(loop.backend.pending(pair.client.handle, Direction::write) == nullptr);
  pair.client.close();
  got += read_to_end(pair.server);
  CHECK((got == taken));
}

TEST_CASE("clause 6: a file arrives whole, however it is cut; 0 is its end, and its position stays") {
  Loop loop;
  Pair pair(loop);
  const std::string text = pattern(2'000'000);
  const DiskFile file(text);
  REQUIRE(Files::set_position(file.native, 7) == 0);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  std::size_t sent = 0;
  std::size_t size = 1;
  for (std::int64_t result = 1; result != 0; size = size * 29 % 300'000 + 1) {
    Sending sending(file.native, sent, size);
    result = loop.finish(sending, pair.client.handle);
    REQUIRE(result >= 0);
    REQUIRE(static_cast<std::size_t>(result) <= size);
    sent += static_cast<std::size_t>(result);
  }
  CHECK(sent == text.size());
  CHECK(Files::position(file.native) == 7);
  Sending beyond(file.native, text.size() + 1000);
  CHECK(loop.finish(beyond, pair.client.handle) == 0);
  pair.client.close();
  REQUIRE(loop.until([&] { return reading.ends > 0; }));
  CHECK((reading.text == text));
}

TEST_CASE("clause 7: closing answers a file with EBADF, and gives the number back after that") {
  Loop loop;
  Pair pair(loop);
  const std::string text = pattern(large);
  const DiskFile file(text);
  Sending sending(file.native, 0, large);
  const std::string taken = clog(pair.client, sending, text);
  const native_socket number = pair.client.native;
  pair.client.close();
  CHECK(sending.answers == 0);
  const native_socket other = open();
  CHECK(other != number);
  REQUIRE(loop.until([&] { return sending.is_answered(); }));
  CHECK(sending.result == -EBADF);
  loop.pass(1ms);
  CHECK(sending.answers == 1);
  CHECK(Sockets::type(number) == -EBADF);
  Sockets::close(other);
  CHECK((read_to_end(pair.server) == taken));
}

TEST_CASE("clause 7: detach answers a file with EBADF and leaves the socket open") {
  Loop loop;
  Pair pair(loop);
  const std::string text = pattern(large);
  const DiskFile file(text);
  Sending sending(file.native, 0, large);
  std::string expected = clog(pair.client, sending, text);
  inside([&] { loop.backend.detach(pair.client.handle); });
  pair.client.handle = loop.backend.attach(pair.client.native, &pair.client.handle);
  REQUIRE(loop.until([&] { return sending.is_answered(); }));
  CHECK(sending.result == -EBADF);
  CHECK(sending.answers == 1);
  std::string got = pair.server.receive_exactly(expected.size());
  Sending again(file.native, 0, 1);
  CHECK(loop.finish(again, pair.client.handle) == 1);
  pair.client.close();
  got += read_to_end(pair.server);
  CHECK((got == expected + text[0]));
}

TEST_CASE("clause 7: close_all leaves a file's operation idle and calls nobody") {
  Loop loop;
  Pair pair(loop);
  const std::string text = pattern(large);
  const DiskFile file(text);
  Sending sending(file.native, 0, large);
  clog(pair.client, sending, text);
  const native_socket natives[] = {pair.client.native, pair.server.native};
  inside([&] { loop.backend.close_all(); });
  CHECK(sending.state == OpState::idle);
  CHECK(sending.answers == 0);
  CHECK(pair.client.handle == nullptr);
  for (const native_socket native : natives) {
    CHECK(Sockets::close(native) == 0);
  }
}

TEST_CASE("clause 8: a file that waits for room does not spin") {
  Loop loop;
  Pair pair(loop);
  const std::string text = pattern(large);
  const DiskFile file(text);
  Sending sending(file.native, 0, large);
  clog(pair.client, sending, text);
  CHECK(loop.pass(30ms) <= 20);
  CHECK_FALSE(sending.is_answered());
  loop.backend.cancel(sending);
  REQUIRE(loop.until([&] { return sending.is_answered(); }));
}

TEST_CASE("clause 10: errors of files and of their connections") {
  Loop loop;
  const std::string text = pattern(large);
  const DiskFile file(text);
  Pair pair(loop);
  const std::int64_t directory = Files::open("/", FileMode::read);
  REQUIRE(directory >= 0);
  Sending unfit(static_cast<native_file>(directory));
  CHECK(loop.finish(unfit, pair.client.handle) == -ENOTSUP);
  Files::close(static_cast<native_file>(directory));
  const native_file unreadable = file.opened(FileMode::append);
  Sending unread(unreadable);
  CHECK(loop.finish(unread, pair.client.handle) == -EBADF);
  Files::close(unreadable);
  // An error of the file is none of the connection's.
  Sending good(file.native, 0, 1);
  CHECK(loop.finish(good, pair.client.handle) == 1);
  CHECK(pair.server.receive_exactly(1) == text.substr(0, 1));

  // Whoever waits is told, and nobody by a signal.
  Sending waiting(file.native, 0, large);
  clog(pair.client, waiting, text);
  pair.server.abort();
  REQUIRE(loop.until([&] { return waiting.is_answered(); }));
  CHECK((waiting.result == -ECONNRESET || waiting.result == -EPIPE));
  CHECK(waiting.answers == 1);
  Sending late(file.native, 0, large);
  const std::int64_t too_late = loop.finish(late, pair.client.handle);
  CHECK((too_late == -EPIPE ||
         (too_late == -ECONNRESET && weir::testing::machine_has(weir::testing::Trait::repeated_resets))));

  Pair ended(loop);
  CHECK(loop.backend.shutdown_write(ended.client.handle) == 0);
  Sending after(file.native, 0, large);
  CHECK(loop.finish(after, ended.client.handle) == -EPIPE);
}
