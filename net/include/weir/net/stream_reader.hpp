// StreamReader: the reading half of a stream (asyncio.StreamReader), and the errors of its calls.
//
// Every read is an awaiter: one whose answer is in the buffer returns without suspending, and none allocates
// anything but the bytes that it gives. A reader that waits for bytes has no buffer: its memory is taken when
// bytes arrive and goes with them. What all reads have in common:
//
// - They are for the loop's thread, and one at a time: a read that begins while another task's is under way
// throws RuntimeError and leaves the first alone.
// - They throw the reader's exception if it has one (see set_exception).
// - They are cancellation points, and a cancelled one takes nothing: the next read gets the bytes.
// - Separators, and the memory of read_into, must stay in place until the read is over. The reader is kept.
#pragma once

#include <weir/bytes.hpp>
#include <weir/config.hpp>
#include <weir/net/transport.hpp>
#include <weir/ref.hpp>
#include <weir/task_base.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace weir::inline WEIR_ABI {

class StreamReader;

// The stream ended before a read had what it asked for (asyncio.IncompleteReadError).
class WEIR_API IncompleteReadError final : public std::runtime_error {
 public:
  IncompleteReadError(Bytes partial, std::optional<std::size_t> expected);
  ~IncompleteReadError() override;

  // What was read before the end; it is no longer in the buffer. Lives as long as any copy of the exception.
  const Bytes& partial() const noexcept { return *partial_; }
  // How many bytes were asked for; nothing for readuntil().
  std::optional<std::size_t> expected() const noexcept { return expected_; }

 private:
  std::shared_ptr<const Bytes> partial_;  // shared, so that a copy of the exception cannot throw
  std::optional<std::size_t> expected_;
};

// The buffer's limit was reached while a separator was looked for (asyncio.LimitOverrunError).
class WEIR_API LimitOverrunError final : public std::runtime_error {
 public:
  LimitOverrunError(const std::string& message, std::size_t consumed);
  ~LimitOverrunError() override;

  // How many bytes of the buffer to take away before looking again: they hold no separator.
  std::size_t consumed() const noexcept { return consumed_; }

 private:
  std::size_t consumed_;
};

// The limit of a stream, in bytes, unless another one is given.
inline constexpr std::ptrdiff_t default_stream_limit = std::ptrdiff_t{64} * 1024;

namespace detail {

// What the awaiters of all reads have in common: waiting until the buffer has what they want.
class WEIR_API ReadAwaiter : public AwaiterBase, protected CancelHook {
 public:
  ~ReadAwaiter();
  bool await_ready();
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    task_ = coroutine.promise().task;
    begin_waiting();
    task_->suspend(coroutine, coroutine.promise(), *this);
  }

 protected:
  friend class weir::StreamReader;
  // Is the answer there: bytes enough, the end, or a limit that is reached?
  using Satisfied = bool (*)(ReadAwaiter& self);

  ReadAwaiter(StreamReader& reader, Satisfied satisfied, std::size_t wanted, const char* call) noexcept;
  ReadAwaiter(ReadAwaiter&& other) noexcept;
  // After the suspension, if there was one: throws what it ended with but an answer.
  void check_outcome();

  Ref<StreamReader> reader_;
  TaskBase* task_ = nullptr;  // null until it suspends
  Satisfied satisfied_;
  std::size_t wanted_;              // bytes; SIZE_MAX: all
  std::span<std::byte> into_ = {};  // read_into: the caller's memory that is still free
  std::size_t filled_ = 0;          // read_into: bytes that went straight there
  bool is_ready_ = false;           // the answer was there at once
  bool woken_ = false;              // it will be resumed: nothing is to be asked any more

 private:
  static bool cancel_read(CancelHook& hook, std::string_view message) noexcept;
  void begin_waiting();
  void wake() noexcept;
};

// What read() and readexactly() return.
class WEIR_API ReadBytesAwaiter : public ReadAwaiter {
 public:
  enum class Kind : bool { some, exactly };
  ReadBytesAwaiter(StreamReader& reader, Kind kind, std::ptrdiff_t wanted);
  Bytes await_resume();

 private:
  Kind kind_;
};

// What read_into() returns.
class WEIR_API ReadIntoAwaiter : public ReadAwaiter {
 public:
  ReadIntoAwaiter(StreamReader& reader, std::span<std::byte> into) noexcept;
  std::size_t await_resume();
};

// What readuntil() returns.
class WEIR_API ReadUntilAwaiter : public ReadAwaiter {
 public:
  ReadUntilAwaiter(StreamReader& reader, std::string_view separator);
  ReadUntilAwaiter(StreamReader& reader, std::span<const std::string_view> separators);
  ReadUntilAwaiter(ReadUntilAwaiter&& other) noexcept = default;
  Bytes await_resume();

 protected:
  static bool search(ReadAwaiter& self);
  // Throws LimitOverrunError when that is the answer; true when a separator was found.
  bool check_limit();

  std::string_view one_;
  std::span<const std::string_view> several_;  // empty: one_
  std::size_t shortest_, longest_;             // of the separators
  std::size_t searched_ = 0;                   // no separator begins before this place of the buffer
  std::size_t match_start_ = 0;
  std::size_t match_end_ = 0;  // 0: none found

 private:
  void find(std::string_view buffer, std::string_view separator) noexcept;
};

// What readline() returns.
class WEIR_API ReadLineAwaiter : public ReadUntilAwaiter {
 public:
  explicit ReadLineAwaiter(StreamReader& reader) : ReadUntilAwaiter(reader, "\n") {}
  Bytes await_resume();
};

// What next() returns.
class NextLineAwaiter : public ReadLineAwaiter {
 public:
  using ReadLineAwaiter::ReadLineAwaiter;
  std::optional<Bytes> await_resume() {
    Bytes line = ReadLineAwaiter::await_resume();
    return line.empty() ? std::optional<Bytes>() : std::optional<Bytes>(std::move(line));
  }
};

}  // namespace detail

// The bytes that came and were not read yet, and whoever waits for more (asyncio.StreamReader). Made by
// open_connection and start_server, or by make_ref for one that is fed by hand. When it holds more than twice
// its limit its transport is paused, until it has been read down to the limit.
class WEIR_API StreamReader final : public RefCounted {
 public:
  // `limit` in bytes, and half of what is buffered before the other side has to wait. Throws
  // std::invalid_argument when it is zero or less.
  explicit StreamReader(EventLoop& loop, std::ptrdiff_t limit = default_stream_limit);

  // --- Reading: each is awaited

  // Gives what is there, at most `n` bytes; waits when nothing is there, and gives nothing at the end of the
  // stream (read). n = 0 gives nothing at once; a negative `n` all bytes up to the end, of any number.
  detail::ReadBytesAwaiter read(std::ptrdiff_t n = -1) {
    return {*this, detail::ReadBytesAwaiter::Kind::some, n};
  }
  // The same into the caller's memory: gives how many bytes were put there, 0 at the end of the stream.
  // Bytes that are there when the task is cancelled win: they are given, and the cancellation is delivered at
  // the next await.
  detail::ReadIntoAwaiter read_into(std::span<std::byte> into) noexcept { return {*this, into}; }
  // Gives exactly `n` bytes, also more than the limit (readexactly). Throws std::invalid_argument for a
  // negative `n`; IncompleteReadError when the stream ends before.
  detail::ReadBytesAwaiter readexactly(std::ptrdiff_t n) {
    return {*this, detail::ReadBytesAwaiter::Kind::exactly, n};
  }
  // Gives what comes up to the first separator, and that (readuntil). Of several separators the one that ends
  // first counts, the shortest of those that end together. Throws IncompleteReadError when the stream ends
  // before, with what was left in the buffer; LimitOverrunError, and leaves all in the buffer, when more
  // bytes than the limit come before it; std::invalid_argument for an empty separator or none.
  detail::ReadUntilAwaiter readuntil(std::string_view separator) {
    return detail::ReadUntilAwaiter(*this, separator);
  }
  detail::ReadUntilAwaiter readuntil(std::span<const std::string_view> separators) {
    return detail::ReadUntilAwaiter(*this, separators);
  }
  // Gives a line with its "\n"; at the end of the stream what is left, which may be nothing (readline).
  // Throws std::invalid_argument for a line longer than the limit: what is in the buffer of it is dropped.
  detail::ReadLineAwaiter readline() { return detail::ReadLineAwaiter(*this); }
  // The next line, or nothing at the end (async for): `while (auto line = co_await reader->next())`. Throws
  // as readline.
  detail::NextLineAwaiter next() { return detail::NextLineAwaiter(*this); }

  // Has the stream ended, and has all been read (at_eof)?
  bool at_eof() const noexcept { return eof_ && size() == 0; }
  // What set_exception was given, or null (exception).
  const std::exception_ptr& exception() const noexcept { return exception_; }

  // --- Feeding: what a protocol does

  // Appends bytes; wakes the read that waits for them (feed_data). Throws RuntimeError after feed_eof, and
  // std::bad_alloc.
  void feed_data(std::span<const std::byte> data);
  void feed_data(std::string_view text) { feed_data(as_bytes(text)); }
  // The stream has ended (feed_eof). Again: nothing.
  void feed_eof() noexcept;
  // Every read from now on throws this, and the one that waits (set_exception).
  void set_exception(std::exception_ptr exception) noexcept;
  // The transport to pause while nobody reads (set_transport). Throws RuntimeError when there is one already.
  void set_transport(Ref<Transport> transport);

  // The loop it belongs to.
  EventLoop& get_loop() const noexcept { return *loop_; }
  // For weir's own rooms: the connection is over, there is nothing to pause any more.
  void forget_transport() noexcept { transport_.reset(); }
  // For weir's own rooms: bytes come from this transport now, which reads.
  void replace_transport(Ref<Transport> transport) noexcept {
    transport_ = std::move(transport);
    paused_ = false;
  }
  // For weir's own rooms: all that nobody has read.
  Bytes take_unread() { return size() != 0 ? take(size()) : Bytes(); }
  // The same as feed_data, on behalf of a transport: the read that has its answer goes on at once, as those
  // of sock_recv do, and not in the next turn, for which the system would be asked in between.
  void receive(std::span<const std::byte> data);

 protected:
  ~StreamReader() override;

 private:
  friend class detail::ReadAwaiter;
  friend class detail::ReadBytesAwaiter;
  friend class detail::ReadIntoAwaiter;
  friend class detail::ReadUntilAwaiter;
  friend class detail::ReadLineAwaiter;

  std::size_t size() const noexcept { return end_ - begin_; }
  std::string_view view() const noexcept { return memory_.view().substr(begin_, size()); }
  void append(std::span<const std::byte> data);
  // Takes that many bytes from the front of the buffer, which has them.
  Bytes take(std::size_t count);
  void drop(std::size_t count) noexcept;
  // Appends what read_into does not take; true when the read that waits has its answer now.
  bool feed(std::span<const std::byte> data);
  void pause_transport();
  void resume_transport();
  void resume_if_drained();

  EventLoop* loop_;
  std::size_t limit_;
  Bytes memory_;           // of the buffer; none while it is empty
  std::size_t begin_ = 0;  // the bytes in memory_
  std::size_t end_ = 0;
  detail::ReadAwaiter* reading_ = nullptr;  // the read that is suspended
  std::exception_ptr exception_;
  Ref<Transport> transport_;
  bool eof_ = false;
  bool paused_ = false;  // it has paused the transport
};

}  // namespace weir::inline WEIR_ABI
