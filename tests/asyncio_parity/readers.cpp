// StreamReader and StreamWriter: reads, their limits, drain, ends of all kinds. Mirrored by readers.py.
#include "tests/asyncio_parity/wire.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/streams.hpp>

#include <chrono>
#include <stdexcept>

using namespace parity;
using namespace std::chrono_literals;
using weir::Bytes;
using weir::Coro;
using weir::EventLoop;
using weir::make_ref;
using weir::Ref;
using weir::sleep;
using weir::StreamReader;
using weir::StreamWriter;
using weir::Task;

namespace {

constexpr const char* group = "readers";

std::string much() { return std::string(large, 'x'); }

template <class A>
Coro<void> failure(A read) {
  try {
    const Bytes data = co_await read;
    trace("read", data.view());
  } catch (const weir::IncompleteReadError& e) {
    trace("incomplete", e.partial().view(), e.expected() ? std::to_string(*e.expected()) : "none", e.what());
  } catch (const weir::LimitOverrunError& e) {
    trace("limit", e.consumed(), e.what());
  } catch (const std::invalid_argument& e) {
    trace("ValueError", e.what());
  } catch (const weir::RuntimeError& e) {
    trace("RuntimeError", e.what());
  } catch (...) {
    trace(kind(std::current_exception()));
  }
}

class Line {
 public:
  Line(Ref<StreamReader> r, Ref<StreamWriter> w, weir::Socket s)
      : reader(std::move(r)), writer(std::move(w)), peer(std::move(s)) {}
  Ref<StreamReader> reader;
  Ref<StreamWriter> writer;
  weir::Socket peer;
};

Coro<Line> connect(EventLoop& loop) {
  Sockets sockets = co_await connected_sockets(loop);
  weir::StreamPair pair = co_await weir::open_connection({.sock = &sockets.near});
  co_return Line(std::move(pair.first), std::move(pair.second), std::move(sockets.far));
}

template <class A>
Coro<std::string> outcome_of_wait(A waiting) {
  try {
    co_await waiting;
    co_return std::string("none");
  } catch (...) {
    co_return kind(std::current_exception());
  }
}

Coro<void> drained(Ref<StreamWriter> writer, const char* name) {
  trace(name, co_await outcome_of_wait(writer->drain()));
}

}  // namespace

SCENARIO(readuntil_and_its_limit) {
  auto reader = make_ref<StreamReader>(loop, 3);
  reader->feed_data("abc--");
  co_await failure(reader->readuntil("--"));
  reader->feed_data("abcdef");
  co_await failure(reader->readuntil("--"));
  co_await failure(reader->readuntil("--"));
  reader->feed_data("--");
  co_await failure(reader->readuntil("--"));
  co_await failure(reader->readexactly(8));
  reader->feed_data("ab");
  Task<void> waiting = loop.create_task(failure(reader->readuntil("!")));
  co_await sleep(0s);
  reader->feed_data("cdef");
  reader->feed_data("!");
  co_await waiting;
  reader->feed_eof();
  co_await failure(reader->readuntil("?"));
  trace(reader->at_eof());
}

SCENARIO(lines_over_the_limit) {
  auto reader = make_ref<StreamReader>(loop, 3);
  reader->feed_data("long line\nok\n");
  co_await failure(reader->readline());
  co_await failure(reader->readline());
  reader->feed_data("without end");
  co_await failure(reader->readline());
  reader->feed_data("!\nrest");
  reader->feed_eof();
  co_await failure(reader->readline());
  co_await failure(reader->readline());
  co_await failure(reader->readline());
}

SCENARIO(a_separator_in_pieces) {
  auto reader = make_ref<StreamReader>(loop);
  Task<void> waiting = loop.create_task(failure(reader->readuntil("<end>")));
  for (const std::string_view piece : {"text<", "e", "<en", "d", ">more<end>"}) {
    co_await sleep(0s);
    reader->feed_data(piece);
    trace("fed", piece, waiting.done());
  }
  co_await waiting;
  co_await failure(reader->readuntil("<end>"));
}

SCENARIO(exactly_so_much) {
  auto reader = make_ref<StreamReader>(loop);
  Task<void> waiting = loop.create_task(failure(reader->readexactly(5)));
  for (const std::string_view piece : {"ab", "cd", "ef"}) {
    co_await sleep(0s);
    reader->feed_data(piece);
  }
  co_await waiting;
  waiting = loop.create_task(failure(reader->readexactly(5)));
  co_await sleep(0s);
  reader->feed_eof();
  co_await waiting;
  co_await failure(reader->read(5));
  co_await failure(reader->read());
}

SCENARIO(two_readers) {
  auto reader = make_ref<StreamReader>(loop);
  Task<void> first = loop.create_task(failure(reader->read(5)));
  co_await sleep(0s);
  co_await failure(reader->readline());
  co_await failure(reader->readexactly(1));
  reader->feed_data("one");
  co_await first;
  reader->feed_data("two");
  co_await failure(reader->read(5));
}

SCENARIO(a_cancelled_read) {
  auto reader = make_ref<StreamReader>(loop);
  for (const bool after_data : {false, true}) {
    Task<Bytes> reading = weir::ensure_future(reader->read(10), &loop);
    co_await sleep(0s);
    if (after_data) {
      reader->feed_data("data");
    }
    reading.cancel("enough");
    trace(co_await outcome_of_wait(weir::Future<Bytes>(reading)));
    if (!after_data) {
      reader->feed_data("data");
    }
    co_await failure(reader->read(10));
  }
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): a Ref holds the reader

SCENARIO(an_exception_while_reading) {
  auto reader = make_ref<StreamReader>(loop);
  Task<void> waiting = loop.create_task(failure(reader->read(5)));
  co_await sleep(0s);
  reader->set_exception(std::make_exception_ptr(std::invalid_argument("broken")));
  co_await waiting;
  co_await failure(reader->read(0));
  co_await failure(reader->readline());
  auto second = make_ref<StreamReader>(loop);
  waiting = loop.create_task(failure(second->read(5)));
  co_await sleep(0s);
  second->feed_data("first");
  second->set_exception(std::make_exception_ptr(std::invalid_argument("then broken")));
  co_await waiting;
  co_await failure(second->read(5));
}

SCENARIO(drain_while_paused) {
  Line line = co_await connect(loop);
  co_await drained(line.writer, "nothing written");
  line.writer->write(much());
  std::vector<Task<void>> tasks;
  for (const char* name : {"a", "b", "c"}) {
    tasks.push_back(loop.create_task(drained(line.writer, name)));
  }
  co_await settle();
  trace("all wait", tasks[0].done(), tasks[1].done(), tasks[2].done());
  tasks[1].cancel();
  while (!tasks[1].done()) {
    co_await sleep(0s);
  }
  Task<std::string> reading = loop.create_task(read_all(loop, line.peer));
  co_await tasks[0];
  co_await tasks[2];
  line.writer->close();
  trace(co_await reading);
  co_await line.writer->wait_closed();
  trace(co_await outcome_of_wait(line.writer->drain()));
}

SCENARIO(lost_in_drain) {
  Line line = co_await connect(loop);
  line.writer->write(much());
  Task<void> draining = loop.create_task(drained(line.writer, "waiting"));
  co_await settle();
  line.writer->transport()->abort();
  co_await settle();  // a system that has been given the bytes gives them back first
  co_await drained(line.writer, "aborted");
  co_await draining;
  co_await drained(line.writer, "after it");
  trace(co_await outcome_of_wait(line.writer->wait_closed()));
  co_await failure(line.reader->read());
}

SCENARIO(reset_while_reading) {
  Line line = co_await connect(loop);
  Task<void> reading = loop.create_task(failure(line.reader->readline()));
  co_await settle();
  reset(line.peer);
  co_await reading;
  co_await drained(line.writer, "reset");
  trace(co_await outcome_of_wait(line.writer->wait_closed()), line.reader->at_eof());
}

SCENARIO(ends_in_both_orders) {
  for (const bool mine_first : {true, false}) {
    Line line = co_await connect(loop);
    co_await loop.sock_sendall(line.peer, "last words");
    if (mine_first) {
      line.writer->write_eof();
      trace(co_await read_all(loop, line.peer));
    }
    line.peer.close();
    co_await failure(line.reader->read());
    trace(line.reader->at_eof(), line.writer->is_closing());
    line.writer->close();
    trace(line.writer->is_closing());
    co_await line.writer->wait_closed();
    co_await failure(line.reader->read(1));
  }
}
