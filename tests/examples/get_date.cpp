// subprocess_exec: the output of a child (asyncio's "loop.subprocess_exec() and SubprocessProtocol").
#include <weir/weir.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace weir;

// Collects what the child writes until its end.
class DateProtocol : public SubprocessProtocol {
 public:
  explicit DateProtocol(Future<std::string> date) : date_(std::move(date)) {}

  void pipe_data_received(int, std::span<const std::byte> data) override { output_ += as_text(data); }
  void connection_lost(std::exception_ptr) override { date_.set_result(output_); }

 private:
  Future<std::string> date_;
  std::string output_;
};

Coro<std::string> get_date() {
  EventLoop& loop = get_running_loop();
  Future<std::string> date = loop.create_future<std::string>();
  const std::vector<std::string> command = {"date", "+%Y-%m-%d"};
  SubprocessOptions options;
  options.std_in = Stdio::devnull();
  options.std_err = Stdio::inherit();
  co_await loop.subprocess_exec([&date] { return make_ref<DateProtocol>(date); }, command, options);
  co_return co_await date;
}

int main() { std::printf("Current date: %s", run(get_date()).c_str()); }
