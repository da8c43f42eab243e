// The idioms of docs/coming-from-asyncio.md, one after another.
#include <weir/weir.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

// A protocol: what it is told arrives in the order that asyncio promises.
class Upper : public weir::Protocol {
 public:
  void connection_made(weir::Ref<weir::Transport> transport) override { transport_ = std::move(transport); }
  void data_received(std::span<const std::byte> data) override {
    std::string text(weir::as_text(data));
    for (char& c : text) {
      c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    transport_->write(text);
  }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  weir::Ref<weir::Transport> transport_;
};

// A coroutine function returns Coro<T>; nothing runs until it is awaited or made a task.
weir::Coro<std::string> ask(weir::Address server, std::string question) {
  weir::EventLoop& loop = weir::get_running_loop();
  weir::Socket socket = weir::Socket::open(weir::AddressFamily::inet);
  co_await loop.sock_connect(socket, server);
  co_await loop.sock_sendall(socket, question);
  socket.shutdown_write();
  std::string answer;
  for (weir::Bytes piece(1); !piece.empty(); answer += piece.view()) {
    piece = co_await loop.sock_recv(socket, 4096);  // whatever has arrived, up to the end
  }
  co_return answer;
}

weir::Coro<void> several_at_once(weir::Address server) {
  std::vector<weir::Coro<std::string>> asking;
  for (const char* question : {"one", "two", "three"}) {
    asking.push_back(ask(server, question));
  }
  const auto answers = co_await weir::wait_for(weir::gather(std::move(asking)), 10s);
  for (const std::string& answer : answers) {
    std::puts(answer.c_str());
  }
}

weir::Coro<void> tidy_up(std::string* log) {
  try {
    co_await weir::sleep(1h);
  } catch (const weir::CancelledError&) {
    *log = "cancelled";
    throw;  // as in Python: whoever swallows it goes on running
  }
}

weir::Coro<void> cancel_it() {
  std::string log;
  auto task = weir::create_task(tidy_up(&log));
  co_await weir::sleep(0s);  // lets it start
  task.cancel();
  try {
    co_await task;
  } catch (const weir::CancelledError&) {
    std::puts(log.c_str());
  }
}

int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

weir::Coro<void> off_the_loop() {
  const int result = co_await weir::to_thread([] { return fibonacci(20); });
  std::printf("%d\n", result);
}

weir::Coro<void> timers() {
  weir::EventLoop& loop = weir::get_running_loop();
  auto done = loop.create_future<void>();
  weir::TimerHandle late = loop.call_later(1h, [] { std::puts("never"); });
  loop.call_later(1ms, [done]() mutable { done.set_result(); });
  co_await done;
  late.cancel();
  std::puts("tick");
}

weir::AsyncGenerator<int> count_to(int n) {
  for (int i = 1; i <= n; ++i) {
    co_await weir::sleep(1ms);
    co_yield i;
  }
}

weir::Coro<void> generators() {
  auto numbers = count_to(3);
  while (auto number = co_await numbers.next()) {
    std::printf("%d\n", *number);
  }
}

weir::Coro<void> everything() {
  weir::EventLoop& loop = weir::get_running_loop();
  auto server = co_await loop.create_server([] { return weir::make_ref<Upper>(); }, {.host = "127.0.0.1"});
  co_await several_at_once(server->sockets().front().local_address());
  co_await server->aclose();
  co_await cancel_it();
  co_await off_the_loop();
  co_await timers();
  co_await generators();
}

}  // namespace

int main() { weir::run(everything()); }
