// StreamReader: its buffer, and the awaiters of its reads. A suspended read is asked after every change
// whether its answer is there, and takes it when it is resumed: a cancellation in between takes nothing.
#include <weir/net/stream_reader.hpp>

#include "runtime/loop_access.hpp"

#include <weir/event_loop.hpp>
#include <weir/exceptions.hpp>
#include <weir/net/streams.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace weir::inline WEIR_ABI {

// --- Errors

namespace {

std::string incomplete_message(std::size_t partial, std::optional<std::size_t> expected) {
  return std::to_string(partial) + " bytes read on a total of " +
         (expected ? std::to_string(*expected) : "undefined") + " expected bytes";
}

}  // namespace

IncompleteReadError::IncompleteReadError(Bytes partial, std::optional<std::size_t> expected)
    : std::runtime_error(incomplete_message(partial.size(), expected)),
      partial_(std::make_shared<const Bytes>(std::move(partial))),
      expected_(expected) {}
IncompleteReadError::~IncompleteReadError() = default;

LimitOverrunError::LimitOverrunError(const std::string& message, std::size_t consumed)
    : std::runtime_error(message), consumed_(consumed) {}
LimitOverrunError::~LimitOverrunError() = default;

// --- StreamReader

StreamReader::StreamReader(EventLoop& loop, std::ptrdiff_t limit)
    : loop_(&loop), limit_(static_cast<std::size_t>(limit)) {
  detail::check_stream_limit(limit);
}

StreamReader::~StreamReader() = default;

// The first bytes get memory of just their size, which read() then gives away as it is.
void StreamReader::append(std::span<const std::byte> data) {
  const std::size_t held = size();
  if (memory_.size() - end_ < data.size()) {
    if (held + data.size() <= memory_.size() / 2) {
      std::memmove(memory_.data(), memory_.data() + begin_, held);
    } else {
      Bytes larger(std::max(held + data.size(), held * 2));
      if (held != 0) {
        std::memcpy(larger.data(), memory_.data() + begin_, held);
      }
      memory_ = std::move(larger);
    }
    begin_ = 0;
    end_ = held;
  }
  std::memcpy(memory_.data() + end_, data.data(), data.size());
  end_ += data.size();
}

void StreamReader::drop(std::size_t count) noexcept {
  begin_ += count;
  if (begin_ == end_) {
    memory_ = Bytes();
    begin_ = 0;
    end_ = 0;
  }
}

Bytes StreamReader::take(std::size_t count) {
  Bytes taken;
  if (begin_ == 0 && count == end_ && count >= memory_.size() / 2) {
    taken = std::move(memory_);
    taken.truncate(count);
    memory_ = Bytes();
    end_ = 0;
  } else {
    taken = Bytes(as_bytes(view().substr(0, count)));
    drop(count);
  }
  resume_if_drained();
  return taken;
}

bool StreamReader::feed(std::span<const std::byte> data) {
  if (eof_) {
    throw RuntimeError("feed_data after feed_eof");
  }
  // Straight to where read_into wants it, unless that was cancelled.
  if (reading_ != nullptr && size() == 0 && (!reading_->woken_ || reading_->filled_ != 0)) {
    const std::size_t count = std::min(reading_->into_.size(), data.size());
    if (count != 0) {
      std::memcpy(reading_->into_.data(), data.data(), count);
      reading_->into_ = reading_->into_.subspan(count);
      reading_->filled_ += count;
      data = data.subspan(count);
    }
  }
  if (!data.empty()) {
    append(data);
  }
  bool is_awaited = reading_ != nullptr && !reading_->woken_;
  const bool is_answered = is_awaited && reading_->satisfied_(*reading_);
  is_awaited = is_awaited && !is_answered;
  if (transport_ != nullptr && !paused_ && !is_awaited && size() / 2 >= limit_ && size() > 2 * limit_) {
    pause_transport();
  }
  return is_answered;
}

void StreamReader::feed_data(std::span<const std::byte> data) {
  if (feed(data)) {
    reading_->wake();
  }
}

// A task that runs now cannot be resumed, nor another one inside it.
void StreamReader::receive(std::span<const std::byte> data) {
  if (!feed(data)) {
    return;
  }
  if (detail::LoopAccess::current_task(*loop_) != nullptr) {
    reading_->wake();
  } else {
    reading_->woken_ = true;
    reading_->task_->step();
  }
}

void StreamReader::feed_eof() noexcept {
  eof_ = true;
  if (reading_ != nullptr) {
    reading_->wake();
  }
}

void StreamReader::set_exception(std::exception_ptr exception) noexcept {
  exception_ = std::move(exception);
  if (reading_ != nullptr) {
    reading_->wake();
  }
}

void StreamReader::set_transport(Ref<Transport> transport) {
  if (transport_ != nullptr) {
    throw RuntimeError("set_transport: the transport is set already");
  }
  transport_ = std::move(transport);
}

// One that cannot be paused fills the buffer as it likes.
void StreamReader::pause_transport() {
  try {
    transport_->pause_reading();
    paused_ = true;
  } catch (const NotSupportedError&) {
    transport_.reset();
  }
}

void StreamReader::resume_transport() {
  if (std::exchange(paused_, false) && transport_ != nullptr) {
    transport_->resume_reading();
  }
}

void StreamReader::resume_if_drained() {
  if (paused_ && size() <= limit_) {
    resume_transport();
  }
}

// --- What all reads have in common

namespace detail {

ReadAwaiter::ReadAwaiter(StreamReader& reader, Satisfied satisfied, std::size_t wanted,
                         const char* call) noexcept
    : CancelHook(&cancel_read, call), reader_(&reader), satisfied_(satisfied), wanted_(wanted) {}

// Before it is awaited: the reader does not know it yet.
ReadAwaiter::ReadAwaiter(ReadAwaiter&& other) noexcept
    : CancelHook(&cancel_read, other.awaits),
      reader_(other.reader_),
      satisfied_(other.satisfied_),
      wanted_(other.wanted_),
      into_(other.into_) {}

ReadAwaiter::~ReadAwaiter() {
  if (reader_->reading_ == this) {
    reader_->reading_ = nullptr;
  }
}

bool ReadAwaiter::await_ready() {
  if (reader_->exception_) [[unlikely]] {
    std::rethrow_exception(reader_->exception_);
  }
  if (wanted_ == 0) [[unlikely]] {
    return true;
  }
  if (reader_->reading_ != nullptr) [[unlikely]] {
    throw RuntimeError(std::string(awaits) +
                       "() called while another coroutine is already waiting for incoming data");
  }
  is_ready_ = satisfied_(*this);
  return is_ready_ && LoopAccess::spend_await_budget(*reader_->loop_);
}

void ReadAwaiter::begin_waiting() {
  reader_->reading_ = this;
  if (is_ready_) {
    wake();  // it only gives way to others
  } else {
    // Waiting while the transport is paused would last for ever.
    reader_->resume_transport();
  }
}

void ReadAwaiter::wake() noexcept {
  if (!std::exchange(woken_, true)) {
    task_->wake();
  }
}

bool ReadAwaiter::cancel_read(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<ReadAwaiter&>(hook);
  if (!self.woken_) {
    self.wake();
    self.task_->interrupted();
  }
  return false;
}

void ReadAwaiter::check_outcome() {
  if (task_ == nullptr) {
    return;
  }
  reader_->reading_ = nullptr;
  if (filled_ == 0) {
    task_->throw_if_cancelled();
  }
  // What it waited for counts more than an exception that came after it.
  if (!satisfied_(*this) && reader_->exception_) {
    std::rethrow_exception(reader_->exception_);
  }
}

// --- read, readexactly

namespace {

constexpr std::size_t everything = SIZE_MAX;

std::size_t wanted_bytes(ReadBytesAwaiter::Kind kind, std::ptrdiff_t wanted) {
  if (wanted >= 0) {
    return static_cast<std::size_t>(wanted);
  }
  if (kind == ReadBytesAwaiter::Kind::exactly) {
    throw std::invalid_argument("readexactly size can not be less than zero");
  }
  return everything;
}

}  // namespace

ReadBytesAwaiter::ReadBytesAwaiter(StreamReader& reader, Kind kind, std::ptrdiff_t wanted)
    : ReadAwaiter(
          reader,
          kind == Kind::some && wanted > 0
              ? [](ReadAwaiter& self) {
                  auto& own = static_cast<ReadBytesAwaiter&>(self);
                  return own.reader_->size() != 0 || own.reader_->eof_;
                }
              : [](ReadAwaiter& self) {
                  auto& own = static_cast<ReadBytesAwaiter&>(self);
                  return own.reader_->size() >= own.wanted_ || own.reader_->eof_;
                },
          wanted_bytes(kind, wanted), kind == Kind::some ? "read" : "readexactly"),
      kind_(kind) {}

Bytes ReadBytesAwaiter::await_resume() {
  check_outcome();
  StreamReader& reader = *reader_;
  if (kind_ == Kind::exactly && reader.size() < wanted_) {
    throw IncompleteReadError(reader.take(reader.size()), wanted_);
  }
  return reader.take(std::min(wanted_, reader.size()));
}

// --- read_into

ReadIntoAwaiter::ReadIntoAwaiter(StreamReader& reader, std::span<std::byte> into) noexcept
    : ReadAwaiter(
          reader,
          [](ReadAwaiter& self) {
            auto& own = static_cast<ReadIntoAwaiter&>(self);
            return own.filled_ != 0 || own.reader_->size() != 0 || own.reader_->eof_;
          },
          into.size(), "read_into") {
  into_ = into;
}

std::size_t ReadIntoAwaiter::await_resume() {
  check_outcome();
  StreamReader& reader = *reader_;
  const std::size_t count = std::min(into_.size(), reader.size());
  if (count != 0) {
    std::memcpy(into_.data(), reader.view().data(), count);
    reader.drop(count);
  }
  reader.resume_if_drained();
  return filled_ + count;
}

// --- readuntil, readline

ReadUntilAwaiter::ReadUntilAwaiter(StreamReader& reader, std::string_view separator)
    : ReadAwaiter(reader, &search, 1, "readuntil"),
      one_(separator),
      shortest_(separator.size()),
      longest_(separator.size()) {
  if (separator.empty()) {
    throw std::invalid_argument("Separator should be at least one-byte string");
  }
}

ReadUntilAwaiter::ReadUntilAwaiter(StreamReader& reader, std::span<const std::string_view> separators)
    : ReadAwaiter(reader, &search, 1, "readuntil"), several_(separators), shortest_(SIZE_MAX), longest_(0) {
  if (separators.empty()) {
    throw std::invalid_argument("Separator should contain at least one element");
  }
  for (const std::string_view separator : separators) {
    shortest_ = std::min(shortest_, separator.size());
    longest_ = std::max(longest_, separator.size());
  }
  if (shortest_ == 0) {
    throw std::invalid_argument("Separator should be at least one-byte string");
  }
}

void ReadUntilAwaiter::find(std::string_view buffer, std::string_view separator) noexcept {
  const std::size_t start = buffer.find(separator, searched_);
  if (start == std::string_view::npos) {
    return;
  }
  const std::size_t end = start + separator.size();
  if (match_end_ == 0 || end < match_end_ || (end == match_end_ && start > match_start_)) {
    match_start_ = start;
    match_end_ = end;
  }
}

bool ReadUntilAwaiter::search(ReadAwaiter& base) {
  auto& self = static_cast<ReadUntilAwaiter&>(base);
  if (self.match_end_ != 0) {
    return true;
  }
  const std::string_view buffer = self.reader_->view();
  if (buffer.size() - self.searched_ >= self.shortest_) {
    if (self.several_.empty()) {
      self.find(buffer, self.one_);
    }
    for (const std::string_view separator : self.several_) {
      self.find(buffer, separator);
    }
    if (self.match_end_ != 0) {
      return true;
    }
    // The last bytes may be the beginning of a separator.
    self.searched_ = buffer.size() + 1 - std::min(buffer.size() + 1, self.longest_);
  }
  return self.searched_ > self.reader_->limit_ || self.reader_->eof_;
}

bool ReadUntilAwaiter::check_limit() {
  if (match_end_ == 0 && searched_ > reader_->limit_) {
    throw LimitOverrunError("Separator is not found, and chunk exceed the limit", searched_);
  }
  if (match_end_ != 0 && match_start_ > reader_->limit_) {
    throw LimitOverrunError("Separator is found, but chunk is longer than limit", match_start_);
  }
  return match_end_ != 0;
}

Bytes ReadUntilAwaiter::await_resume() {
  check_outcome();
  if (!check_limit()) {
    throw IncompleteReadError(reader_->take(reader_->size()), std::nullopt);
  }
  return reader_->take(match_end_);
}

Bytes ReadLineAwaiter::await_resume() {
  check_outcome();
  try {
    return reader_->take(check_limit() ? match_end_ : reader_->size());
  } catch (const LimitOverrunError& error) {
    reader_->drop(match_end_ != 0 ? match_end_ : reader_->size());
    reader_->resume_if_drained();
    throw std::invalid_argument(error.what());
  }
}

}  // namespace detail

}  // namespace weir::inline WEIR_ABI
