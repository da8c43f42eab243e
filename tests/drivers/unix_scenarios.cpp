// The scenarios of Unix sockets and pipes.
#include "tests/drivers/unix_scenarios.hpp"

#include "tests/drivers/protocols.hpp"

#include <weir/weir.hpp>

#include <chrono>
#include <exception>
#include <iterator>
#include <utility>
#include <vector>

namespace weir::testing {

namespace {

using namespace std::chrono_literals;

// Takes what comes and the descriptor that comes with it, and sends the text back through that one.
Coro<void> answer_through(Stage& stage, Socket& from) {
  const Guard guard(stage.guards);
  Socket socket = std::move(from);
  std::string text;
  std::vector<File> files;
  for (;;) {
    ReceivedDescriptors part = co_await socket.recv_fds(stage.loop, stage.buffer, 4);
    std::move(part.files.begin(), part.files.end(), std::back_inserter(files));
    if (part.data.empty()) {
      break;
    }
    text += part.data.view();
  }
  if (files.size() != 1) {
    co_return;
  }
  Socket back = Socket::adopt(files.front().release());
  co_await stage.loop.sock_sendall(back, text);
}

// Sends the text with one end of another pair, and gives what comes back through the other end.
Coro<std::string> send_with_descriptor(Stage& stage, Socket& to) {
  const Guard guard(stage.guards);
  Socket socket = std::move(to);
  auto [mine, theirs] = Socket::pair();
  const native_socket passed = theirs.native_handle();
  const std::size_t first = stage.split == 0 ? travelling_text.size() : stage.split;
  co_await socket.send_fds(stage.loop, as_bytes(travelling_text.substr(0, first)), std::span(&passed, 1));
  theirs.close();
  co_await stage.loop.sock_sendall(socket, travelling_text.substr(first));
  socket.close();
  std::string answer;
  for (;;) {
    const Bytes piece = co_await stage.loop.sock_recv(mine, 64);
    if (piece.empty()) {
      co_return answer;
    }
    answer += piece.view();
  }
}

}  // namespace

Coro<std::string> descriptors(Stage& stage) {
  auto [near, far] = Socket::pair();
  Task<void> answering = stage.loop.create_task(answer_through(stage, far), {.eager_start = true});
  std::string result;
  std::exception_ptr error;
  try {
    result = co_await send_with_descriptor(stage, near);
  } catch (...) {
    error = std::current_exception();
  }
  co_await end(answering);
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  co_return result;
}

namespace {

// A protocol at the reading end of a pipe.
class PipeReader final : public Guarded<Protocol> {
 public:
  explicit PipeReader(Stage& stage) : Guarded(stage), over(stage.loop) {}
  void data_received(std::span<const std::byte> data) override {
    order_.data();
    received += as_text(data);
  }
  void connection_lost(std::exception_ptr error) override {
    Guarded::connection_lost(nullptr);
    if (over.done()) {
      return;
    }
    if (error != nullptr) {
      over.set_exception(std::move(error));
    } else {
      over.set_result();
    }
  }

  Future<void> over;
  std::string received;
};

Coro<void> write_in_two(Stage& stage, File pipe) {
  const Guard guard(stage.guards);
  auto factory = [&stage] { return make_ref<EchoProtocol>(stage); };
  const std::pair<Ref<Transport>, Ref<EchoProtocol>> made =
      co_await stage.loop.connect_write_pipe(factory, std::move(pipe));
  made.first->write(travelling_text.substr(0, stage.split));
  std::exception_ptr error;
  try {
    co_await sleep(0s);
  } catch (...) {
    error = std::current_exception();
  }
  made.first->write(travelling_text.substr(stage.split));
  made.first->close();
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
}

}  // namespace

Coro<std::string> pipe(Stage& stage) {
  const Guard guard(stage.guards);
  auto [reading, writing] = File::pipe();
  auto factory = [&stage] { return make_ref<PipeReader>(stage); };
  const std::pair<Ref<Transport>, Ref<PipeReader>> reader =
      co_await stage.loop.connect_read_pipe(factory, std::move(reading));
  std::exception_ptr error;
  try {
    co_await write_in_two(stage, std::move(writing));
    co_await reader.second->over;
  } catch (...) {
    error = std::current_exception();
  }
  reader.first->close();
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  co_return reader.second->received;
}

}  // namespace weir::testing
