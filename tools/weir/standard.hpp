// The standard input and output of the program, whatever they are: files, pipes, terminals.
#pragma once

#include "tools/weir/host.hpp"

#include <weir/bytes.hpp>
#include <weir/coro.hpp>
#include <weir/event_loop.hpp>
#include <weir/executor.hpp>
#include <weir/net/file.hpp>
#include <weir/net/stream_reader.hpp>
#include <weir/net/stream_writer.hpp>
#include <weir/net/transport.hpp>
#include <weir/ref.hpp>

#include <cstddef>
#include <memory>

namespace program {

// What the program was started with. Waiting for it makes it non-blocking for everybody who has it, the shell
// among them, so that it becomes in the end what it was. Where the loop cannot wait for it, as on Windows for
// what was made to be waited for in a call, a thread does.
class Standard {
 public:
  explicit Standard(weir::native_file number);
  Standard(const Standard&) = delete;
  Standard& operator=(const Standard&) = delete;
  ~Standard();

  bool is_regular_file() const { return file_.kind() == weir::FileKind::regular; }
  weir::File& file() noexcept { return file_; }

 protected:
  bool needs_thread() const;
  // Where the thread's jobs go. It is not waited for: nobody knows when its call returns.
  weir::Executor& thread();

  weir::Ref<weir::Transport> pipe_;  // unless it is a regular file

 private:
  weir::File file_;
  bool was_blocking_;
  std::shared_ptr<weir::Executor> thread_;
};

class StandardInput : public Standard {
 public:
  StandardInput() : Standard(standard_input()) {}
  // What is there next, at most so many bytes; empty at the end. From a regular file at once.
  weir::Coro<weir::Bytes> read(weir::EventLoop& loop, std::size_t most);

 private:
  weir::Future<weir::Bytes> read_on_thread(weir::EventLoop& loop, std::size_t most);

  weir::Ref<weir::StreamReader> reader_;
};

class StandardOutput : public Standard {
 public:
  explicit StandardOutput(weir::native_file number = standard_output()) : Standard(number) {}
  ~StandardOutput();
  // Gives when there is room for more. To a regular file at once.
  weir::Coro<void> write(weir::EventLoop& loop, weir::Bytes data);
  // Gives when everything is written.
  weir::Coro<void> finish();

 private:
  weir::Future<void> write_on_thread(weir::EventLoop& loop, weir::Bytes data);

  weir::Ref<weir::StreamWriter> writer_;
};

}  // namespace program
