// The standard streams: non-blocking while they are used.
#include "tools/weir/standard.hpp"

#include <weir/info.hpp>
#include <weir/net/pipe.hpp>
#include <weir/net/streams.hpp>

#include <system_error>
#include <utility>
#include <vector>

namespace program {

Standard::Standard(weir::native_file number)
    : file_(weir::File::duplicate(number)), was_blocking_(file_.is_blocking()) {}

Standard::~Standard() {
  if (pipe_ != nullptr) {
    pipe_->abort();
  }
  if (thread_ != nullptr) {
    thread_->shutdown(false);
    return;  // Windows answers no question about what a call waits for
  }
  try {
    file_.set_non_blocking(!was_blocking_);
  } catch (const std::system_error&) {
    // It is gone: nobody is left to notice.
  }
}

bool Standard::needs_thread() const {
  return !weir::has_capability("native_descriptors") && file_.is_blocking();
}

weir::Executor& Standard::thread() {
  if (thread_ == nullptr) {
    thread_ = std::make_shared<weir::ThreadPoolExecutor>(weir::ThreadPoolOptions{.max_workers = 1});
  }
  return *thread_;
}

weir::Future<weir::Bytes> StandardInput::read_on_thread(weir::EventLoop& loop, std::size_t most) {
  auto shared = std::make_shared<weir::File>(weir::File::duplicate(file().native_handle()));
  return loop.run_in_executor(&thread(), [shared, most] {
    std::vector<std::byte> data(most);
    data.resize(shared->read(data));
    return weir::Bytes(data);
  });
}

weir::Coro<weir::Bytes> StandardInput::read(weir::EventLoop& loop, std::size_t most) {
  if (is_regular_file()) {
    std::vector<std::byte> data(most);
    data.resize(file().read(data));
    co_return weir::Bytes(data);
  }
  if (needs_thread()) {
    co_return co_await read_on_thread(loop, most);
  }
  if (reader_ == nullptr) {
    reader_ = weir::make_ref<weir::StreamReader>(loop);
    const auto factory = [this] { return weir::make_ref<weir::StreamReaderProtocol>(reader_); };
    auto pipe = co_await loop.connect_read_pipe(factory, weir::File::duplicate(file().native_handle()));
    pipe_ = std::move(pipe.first);
  }
  co_return co_await reader_->read(static_cast<std::ptrdiff_t>(most));
}

StandardOutput::~StandardOutput() {
  if (pipe_ != nullptr) {
    pipe_->abort();  // before the writer goes
  }
}

weir::Future<void> StandardOutput::write_on_thread(weir::EventLoop& loop, weir::Bytes data) {
  auto shared = std::make_shared<weir::File>(weir::File::duplicate(file().native_handle()));
  return loop.run_in_executor(&thread(), [shared, data = std::move(data)] {
    for (std::size_t written = 0; written != data.size();) {
      written += shared->write(data.span().subspan(written));
    }
  });
}

weir::Coro<void> StandardOutput::write(weir::EventLoop& loop, weir::Bytes data) {
  if (is_regular_file()) {
    for (std::size_t written = 0; written != data.size();) {
      written += file().write(data.span().subspan(written));
    }
    co_return;
  }
  if (needs_thread()) {
    co_await write_on_thread(loop, std::move(data));
    co_return;
  }
  if (writer_ == nullptr) {
    const weir::Ref<weir::StreamReader> nothing = weir::make_ref<weir::StreamReader>(loop);
    const auto factory = [&nothing] { return weir::make_ref<weir::StreamReaderProtocol>(nothing); };
    auto pipe = co_await loop.connect_write_pipe(factory, weir::File::duplicate(file().native_handle()));
    pipe_ = pipe.first;
    writer_ = weir::make_ref<weir::StreamWriter>(pipe.first, pipe.second, nothing);
  }
  writer_->write(std::move(data));
  co_await writer_->drain();
}

weir::Coro<void> StandardOutput::finish() {
  if (writer_ != nullptr) {
    writer_->close();
    co_await writer_->wait_closed();
  }
}

}  // namespace program
