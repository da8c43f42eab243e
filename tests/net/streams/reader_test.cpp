// STRM: what a reader gives of what it is fed. Bytes are fed by hand here, so that every split is decided.
#include "tests/net/net_test.hpp"

#include <array>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// Feeds each piece in a turn of its own, then the end.
Coro<void> feed(Ref<StreamReader> reader, std::vector<std::string> pieces, bool end = true) {
  for (const std::string& piece : pieces) {
    co_await sleep(0s);
    reader->feed_data(piece);
  }
  co_await sleep(0s);
  if (end) {
    reader->feed_eof();
  }
}

// The error of a read, with what it says.
template <class A>
Coro<std::string> failure(A read) {
  try {
    co_await read;
  } catch (const IncompleteReadError& e) {
    co_return "incomplete " + e.partial().str() + " of " +
        (e.expected() ? std::to_string(*e.expected()) : "?") + ": " + e.what();
  } catch (const LimitOverrunError& e) {
    co_return "limit at " + std::to_string(e.consumed()) + ": " + e.what();
  } catch (const std::invalid_argument& e) {
    co_return std::string("invalid: ") + e.what();
  } catch (const RuntimeError& e) {
    co_return std::string("usage: ") + e.what();
  }
  co_return "none";
}

constexpr const char* not_found = "Separator is not found, and chunk exceed the limit";
constexpr const char* found_late = "Separator is found, but chunk is longer than limit";

}  // namespace

WEIR_TEST("STRM-002 read gives what is there, waits for something, and is empty at the end") {
  auto reader = make_ref<StreamReader>(loop);
  reader->feed_data("hello");
  const Bytes none = co_await reader->read(0);
  CHECK(none.empty());
  const Bytes some = co_await reader->read(3);
  CHECK(some == "hel");
  const Bytes rest = co_await reader->read(100);
  CHECK(rest == "lo");
  Task<void> feeding = loop.create_task(feed(reader, {"later", "more"}));
  const Bytes later = co_await reader->read(100);
  CHECK(later == "later");
  co_await feeding;
  const Bytes more = co_await reader->read(100);
  CHECK(more == "more");
  const Bytes end = co_await reader->read(100);
  CHECK(end.empty());
  const Bytes still = co_await reader->read(1);
  CHECK(still.empty());
}

WEIR_TEST("STRM-002 read_into fills the caller's memory") {
  auto reader = make_ref<StreamReader>(loop);
  std::vector<std::byte> memory(4);
  Task<void> feeding = loop.create_task(feed(reader, {"abcdefgh", "ij"}));
  std::string got;
  for (std::size_t count = 1; count != 0; got += ' ') {
    count = co_await reader->read_into(memory);
    got += as_text(std::span(memory).first(count));
  }
  CHECK(got == "abcd efgh ij  ");
  const std::size_t end = co_await reader->read_into(memory);
  CHECK(end == 0);
  co_await feeding;
}

WEIR_TEST("STRM-002 to read nothing takes no time and no turn from whoever waits") {
  auto reader = make_ref<StreamReader>(loop);
  Task<Bytes> waiting = ensure_future(reader->read(5), &loop);
  co_await sleep(0s);
  const Bytes none = co_await reader->read(0);
  CHECK(none.empty());
  const Bytes exactly_none = co_await reader->readexactly(0);
  CHECK(exactly_none.empty());
  const std::size_t nothing = co_await reader->read_into({});
  CHECK(nothing == 0);
  CHECK_FALSE(waiting.done());
  reader->feed_data("x");
  const Bytes read = co_await waiting;
  CHECK(read == "x");
}

WEIR_TEST("STRM-003 read(-1) gives everything up to the end") {
  auto reader = make_ref<StreamReader>(loop, 4);
  Task<void> feeding = loop.create_task(feed(reader, {"one ", "two ", "a long one"}));
  const Bytes all = co_await reader->read();
  CHECK(all == "one two a long one");
  const Bytes end = co_await reader->read(-1);
  CHECK(end.empty());
  co_await feeding;
}

WEIR_TEST("STRM-004 readline gives a line with its end, or what is left") {
  auto reader = make_ref<StreamReader>(loop);
  Task<void> feeding = loop.create_task(feed(reader, {"on", "e\ntwo\n", "\nrest"}));
  for (const std::string_view expected : {"one\n", "two\n", "\n", "rest", ""}) {
    const Bytes line = co_await reader->readline();
    CHECK(line == expected);
  }
  co_await feeding;
  std::string lines;
  auto second = make_ref<StreamReader>(loop);
  feeding = loop.create_task(feed(second, {"a\nb", "\nc"}));
  while (const auto line = co_await second->next()) {
    lines += line->str() + '|';
  }
  CHECK(lines == "a\n|b\n|c|");
  co_await feeding;
}

WEIR_TEST("STRM-005 a line longer than the limit is an error, and the buffer loses it") {
  auto reader = make_ref<StreamReader>(loop, 3);
  reader->feed_data("long line\nok\n");
  const std::string late = co_await failure(reader->readline());
  CHECK(late == std::string("invalid: ") + found_late);
  const Bytes line = co_await reader->readline();
  CHECK(line == "ok\n");
  // Without its end all is dropped that is there, and the rest of it is a line of its own.
  reader->feed_data("long li");
  const std::string endless = co_await failure(reader->readline());
  CHECK(endless == std::string("invalid: ") + not_found);
  reader->feed_data("ne\n");
  const Bytes rest = co_await reader->readline();
  CHECK(rest == "ne\n");
  reader->feed_data("abc\n");
  const Bytes just = co_await reader->readline();
  CHECK(just == "abc\n");
}

WEIR_TEST("STRM-006 readuntil finds its separator, however it is split") {
  const std::string text = "first<end>second<<end>";
  for (std::size_t at = 0; at <= text.size(); ++at) {
    CAPTURE(at);
    auto reader = make_ref<StreamReader>(loop);
    std::vector<std::string> pieces{text.substr(0, at), text.substr(at)};
    Task<void> feeding = loop.create_task(feed(reader, std::move(pieces), false));
    const Bytes first = co_await reader->readuntil("<end>");
    CHECK(first == "first<end>");
    const Bytes second = co_await reader->readuntil("<end>");
    CHECK(second == "second<<end>");
    co_await feeding;
  }
}

WEIR_TEST("STRM-007 of several separators the one that ends first counts, and the shortest of those") {
  const std::string_view either[] = {"world", "or"};
  const std::string text = "hello world";
  for (std::size_t at = 0; at <= text.size(); ++at) {
    CAPTURE(at);
    auto reader = make_ref<StreamReader>(loop);
    std::vector<std::string> pieces{text.substr(0, at), text.substr(at)};
    Task<void> feeding = loop.create_task(feed(reader, std::move(pieces)));
    const Bytes until = co_await reader->readuntil(either);
    CHECK(until == "hello wor");
    co_await feeding;
  }
  // Both end at the same place: the match of the shorter one begins later, which the limit is held against.
  for (const auto& same_end : {std::array<std::string_view, 2>{"cd", "bcd"}, {"bcd", "cd"}}) {
    auto reader = make_ref<StreamReader>(loop, 1);
    reader->feed_data("abcd");
    const std::string error = co_await failure(reader->readuntil(same_end));
    CHECK(error == std::string("limit at 2: ") + found_late);
  }
}

WEIR_TEST("STRM-007 separators of several lengths, in any order, however they are split") {
  const std::string text = "12abcd34x5abc";
  for (const auto& either : {std::array<std::string_view, 2>{"abcd", "x"}, {"x", "abcd"}}) {
    for (std::size_t at = 0; at <= text.size(); ++at) {
      CAPTURE(at);
      auto reader = make_ref<StreamReader>(loop);
      std::vector<std::string> pieces{text.substr(0, at), text.substr(at)};
      Task<void> feeding = loop.create_task(feed(reader, std::move(pieces)));
      const Bytes first = co_await reader->readuntil(either);
      CHECK(first == "12abcd");
      const Bytes second = co_await reader->readuntil(either);
      CHECK(second == "34x");
      const std::string rest = co_await failure(reader->readuntil(either));
      CHECK(rest.starts_with("incomplete 5abc of ?"));
      co_await feeding;
    }
    // A short one is found where there is no room for a long one, and no end yet.
    auto reader = make_ref<StreamReader>(loop);
    reader->feed_data("6x");
    const Bytes early = co_await reader->readuntil(either);
    CHECK(early == "6x");
  }
}

WEIR_TEST("STRM-008 readuntil at the end gives what is left with its error") {
  auto reader = make_ref<StreamReader>(loop);
  Task<void> feeding = loop.create_task(feed(reader, {"some", " <en"}));
  const std::string error = co_await failure(reader->readuntil("<end>"));
  CHECK(error == "incomplete some <en of ?: 8 bytes read on a total of undefined expected bytes");
  CHECK(reader->at_eof());
  co_await feeding;
  const std::string again = co_await failure(reader->readuntil("x"));
  CHECK(again == "incomplete  of ?: 0 bytes read on a total of undefined expected bytes");
}

WEIR_TEST("STRM-008 an end just at the limit is an end, not an overrun") {
  for (const std::string_view text : {"abc", "ab"}) {
    auto reader = make_ref<StreamReader>(loop, 3);
    reader->feed_data(text);
    reader->feed_eof();
    const std::string error = co_await failure(reader->readuntil("-"));
    CHECK(error.starts_with("incomplete " + std::string(text) + " of ?"));
  }
}

WEIR_TEST("STRM-009 readuntil beyond the limit leaves the data where it is") {
  auto reader = make_ref<StreamReader>(loop, 3);
  reader->feed_data("abc--");
  const Bytes just = co_await reader->readuntil("--");
  CHECK(just == "abc--");
  reader->feed_data("abcdef");
  const std::string endless = co_await failure(reader->readuntil("--"));
  CHECK(endless == std::string("limit at 5: ") + not_found);
  reader->feed_data("--");
  const std::string late = co_await failure(reader->readuntil("--"));
  CHECK(late == std::string("limit at 6: ") + found_late);
  const Bytes all = co_await reader->readexactly(8);
  CHECK(all == "abcdef--");
  // Reached is not exceeded, also when the separator comes piece by piece.
  Task<void> slowly = loop.create_task(feed(reader, {"abc", "-", "-"}, false));
  const Bytes at_limit = co_await reader->readuntil("--");
  CHECK(at_limit == "abc--");
  co_await slowly;
  // The limit is passed while somebody waits.
  Task<void> feeding = loop.create_task(feed(reader, {"12", "34", "56"}, false));
  const std::string waiting = co_await failure(reader->readuntil("!"));
  CHECK(waiting == std::string("limit at 4: ") + not_found);
  co_await feeding;
}

WEIR_TEST("STRM-009 a separator of nothing, or none, is an invalid argument") {
  auto reader = make_ref<StreamReader>(loop);
  const std::string_view with_empty[] = {"x", ""};
  CHECK_THROWS_AS((void)reader->readuntil(""), std::invalid_argument);
  CHECK_THROWS_AS((void)reader->readuntil(with_empty), std::invalid_argument);
  CHECK_THROWS_AS((void)reader->readuntil(std::span<const std::string_view>()), std::invalid_argument);
  co_return;
}

WEIR_TEST("STRM-010 readexactly gives that many bytes or fails with what there was") {
  auto reader = make_ref<StreamReader>(loop);
  Task<void> feeding = loop.create_task(feed(reader, {"ab", "cdef", "g"}));
  const Bytes five = co_await reader->readexactly(5);
  CHECK(five == "abcde");
  const Bytes nothing = co_await reader->readexactly(0);
  CHECK(nothing.empty());
  const std::string error = co_await failure(reader->readexactly(3));
  CHECK(error == "incomplete fg of 3: 2 bytes read on a total of 3 expected bytes");
  co_await feeding;
  CHECK(reader->at_eof());
  CHECK_THROWS_AS((void)reader->readexactly(-1), std::invalid_argument);
}

WEIR_TEST("STRM-012 a limit of zero or less is an invalid argument") {
  CHECK_THROWS_AS(make_ref<StreamReader>(loop, 0), std::invalid_argument);
  CHECK_THROWS_AS(make_ref<StreamReader>(loop, -1), std::invalid_argument);
  CHECK_THROWS_AS((void)open_connection({.host = "127.0.0.1", .port = 1}, 0), std::invalid_argument);
  CHECK_THROWS_AS((void)open_unix_connection({.path = "/x"}, 0), std::invalid_argument);
  const auto ignore = [](const Ref<StreamReader>&, const Ref<StreamWriter>&) {};
  CHECK_THROWS_AS((void)start_server(ignore, {.host = "127.0.0.1"}, 0), std::invalid_argument);
  CHECK_THROWS_AS((void)start_unix_server(ignore, {.path = "/x"}, 0), std::invalid_argument);
  CHECK_THROWS_AS(make_ref<StreamReaderProtocol>(nullptr), std::invalid_argument);
  co_return;
}

WEIR_TEST("STRM-013 at_eof needs the end and an empty buffer") {
  auto reader = make_ref<StreamReader>(loop);
  CHECK_FALSE(reader->at_eof());
  reader->feed_data("xy");
  reader->feed_eof();
  CHECK_FALSE(reader->at_eof());
  co_await reader->read(1);
  CHECK_FALSE(reader->at_eof());
  co_await reader->read(1);
  CHECK(reader->at_eof());
  CHECK_THROWS_AS(reader->feed_data("z"), RuntimeError);
}

WEIR_TEST("STRM-014 an exception that was set is thrown by the read that waits and by later ones") {
  auto reader = make_ref<StreamReader>(loop);
  CHECK(reader->exception() == nullptr);
  Task<Bytes> waiting = ensure_future(reader->readexactly(5), &loop);
  co_await sleep(0s);
  reader->feed_data("abc");
  reader->set_exception(std::make_exception_ptr(std::out_of_range("broken")));
  CHECK(reader->exception() != nullptr);
  CHECK_THROWS_AS(co_await waiting, std::out_of_range);
  CHECK_THROWS_AS(co_await reader->read(1), std::out_of_range);
  CHECK_THROWS_AS(co_await reader->read(0), std::out_of_range);
  CHECK_THROWS_AS(co_await reader->readline(), std::out_of_range);
  std::byte memory[1];
  CHECK_THROWS_AS(co_await reader->read_into(memory), std::out_of_range);
}

WEIR_TEST("STRM-014 an answer that came before the exception is given") {
  auto reader = make_ref<StreamReader>(loop);
  Task<Bytes> waiting = ensure_future(reader->read(5), &loop);
  co_await sleep(0s);
  reader->feed_data("abc");
  reader->set_exception(std::make_exception_ptr(std::out_of_range("broken")));
  const Bytes read = co_await waiting;
  CHECK(read == "abc");
  CHECK_THROWS_AS(co_await reader->read(1), std::out_of_range);
}

WEIR_TEST("STRM-015 a second reader at once is a usage error, and disturbs nobody") {
  auto reader = make_ref<StreamReader>(loop);
  Task<Bytes> first = ensure_future(reader->read(5), &loop);
  co_await sleep(0s);
  const std::string error = co_await failure(reader->readexactly(1));
  CHECK(error == "usage: readexactly() called while another coroutine is already waiting for incoming data");
  const std::string line = co_await failure(reader->readline());
  CHECK(line == "usage: readuntil() called while another coroutine is already waiting for incoming data");
  reader->feed_data("ab");
  // What came is the first one's, also before it has run.
  const std::string late = co_await failure(reader->read(1));
  CHECK(late == "usage: read() called while another coroutine is already waiting for incoming data");
  const Bytes read = co_await first;
  CHECK(read == "ab");
}

WEIR_TEST("STRM-023 a read that is cancelled takes nothing") {
  auto reader = make_ref<StreamReader>(loop);
  for (int round = 0; round != 2; ++round) {
    const bool after_data = round == 1;
    CAPTURE(after_data);
    Task<Bytes> reading = ensure_future(reader->readexactly(4), &loop);
    co_await sleep(0s);
    reader->feed_data("ab");
    if (after_data) {
      reader->feed_data("cd");
    }
    reading.cancel("enough");
    if (!after_data) {
      reader->feed_data("cd");
    }
    CHECK_THROWS_AS(co_await reading, CancelledError);
    const Bytes next = co_await reader->readexactly(4);
    CHECK(next == "abcd");
  }
}

WEIR_TEST(
    "STRM-023 read(-1) and readline give to the next read what they had seen when they were cancelled") {
  auto reader = make_ref<StreamReader>(loop, 4);
  Task<Bytes> all = ensure_future(reader->read(), &loop);
  co_await sleep(0s);
  reader->feed_data("much more than the limit");
  co_await sleep(0s);
  all.cancel();
  CHECK_THROWS_AS(co_await all, CancelledError);
  const Bytes kept = co_await reader->read(1000);
  CHECK(kept == "much more than the limit");
  Task<Bytes> line = ensure_future(reader->readline(), &loop);
  co_await sleep(0s);
  reader->feed_data("hal");
  line.cancel();
  CHECK_THROWS_AS(co_await line, CancelledError);
  reader->feed_data("f\n");
  const Bytes whole = co_await reader->readline();
  CHECK(whole == "half\n");
}

WEIR_TEST("STRM-023 what read_into had got when it was cancelled is given") {
  auto reader = make_ref<StreamReader>(loop);
  std::vector<std::byte> memory(2);
  Task<std::size_t> reading = ensure_future(reader->read_into(memory), &loop);
  co_await sleep(0s);
  reader->feed_data("abc");
  reading.cancel();
  // The task has no further await in which it could be told, so it ends cancelled: the bytes are in place.
  CHECK_THROWS_AS(co_await reading, CancelledError);
  CHECK(as_text(memory) == "ab");
  reading = ensure_future(reader->read_into(memory), &loop);
  const Bytes rest = co_await reader->read(10);
  CHECK(rest == "c");
  co_await sleep(0s);
  reading.cancel();
  reader->feed_data("later");
  CHECK_THROWS_AS(co_await reading, CancelledError);
  const Bytes later = co_await reader->read(10);
  CHECK(later == "later");
}

WEIR_TEST("STRM-023 a cancelled read_into that has got bytes says how many, and is cancelled behind that") {
  auto reader = make_ref<StreamReader>(loop);
  std::vector<std::byte> memory(2);
  std::vector<std::size_t> counts;
  const auto read = [](StreamReader& from, std::span<std::byte> into,
                       std::vector<std::size_t>& out) -> Coro<void> {
    out.push_back(co_await from.read_into(into));
    out.push_back(co_await from.read_into(into));
  };
  Task<void> reading = loop.create_task(read(*reader, memory, counts));
  co_await sleep(0s);
  reader->feed_data("abc");
  reading.cancel();
  CHECK_THROWS_AS(co_await reading, CancelledError);
  REQUIRE_FALSE(counts.empty());
  CHECK(counts[0] == 2);
}

WEIR_TEST("STRM-002 what a task hands to the protocol resumes the reader in a later turn") {
  auto reader = make_ref<StreamReader>(loop);
  auto protocol = make_ref<StreamReaderProtocol>(reader);
  Task<Bytes> waiting = ensure_future(reader->read(5), &loop);
  co_await sleep(0s);
  protocol->data_received(as_bytes("x"));
  CHECK_FALSE(waiting.done());
  const Bytes read = co_await waiting;
  CHECK(read == "x");
}

WEIR_TEST("STRM-002 reads that never have to wait give way to others now and then") {
  auto reader = make_ref<StreamReader>(loop);
  reader->feed_data(std::string(1000, 'x'));
  bool others_ran = false;
  loop.call_soon([&] { others_ran = true; });
  int reads = 0;
  for (; !others_ran && reads != 1000; ++reads) {
    const Bytes one = co_await reader->read(1);
    CHECK(one == "x");
  }
  CHECK(reads > 10);
  CHECK(others_ran);
}
