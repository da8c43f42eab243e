// `weir exec`: runs a program, and stands between it and whoever started us.
#include "tools/weir/host.hpp"
#include "tools/weir/json_text.hpp"
#include "tools/weir/standard.hpp"
#include "tools/weir/verbs.hpp"

#include <weir/bytes.hpp>
#include <weir/exceptions.hpp>
#include <weir/info.hpp>
#include <weir/policy.hpp>
#include <weir/subprocess/process.hpp>
#include <weir/task.hpp>
#include <weir/tasks.hpp>

#include <array>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace program {

namespace {

using weir::Ref;

constexpr int timed_out = 124;  // as timeout(1) ends
constexpr int not_permitted = 126;
constexpr int not_found = 127;  // these two as shells end
constexpr std::ptrdiff_t piece = std::ptrdiff_t{64} * 1024;
// What a report may hold of either output.
constexpr std::size_t most_reported = std::size_t{64} << 20;
// How long what the child has left behind may go on writing.
constexpr std::chrono::seconds after_end{1};
// How long a child may take to end when it is asked to.
constexpr std::chrono::seconds until_kill{2};

// Signals that we get go to the child, until it has ended.
class Passing {
 public:
  Passing(weir::EventLoop& loop, Ref<weir::Process> process, bool interrupts) : loop_(loop) {
    std::vector<int> numbers = control_signals();
    if (interrupts) {
      const std::vector<int> typed = typed_signals();
      numbers.insert(numbers.end(), typed.begin(), typed.end());
    }
    for (const int number : numbers) {
      pass(number, [process, number] { send(*process, number); });
    }
    if (!interrupts) {
      pass(SIGINT, [] {});  // the terminal has sent it to the child, too, which decides
    }
  }
  Passing(const Passing&) = delete;
  ~Passing() {
    for (const int number : passed_) {
      loop_.remove_signal_handler(number);
    }
  }

  static void send(weir::Process& process, int number) {
    try {
      process.send_signal(number);
    } catch (const std::system_error&) {
      // It has just ended, or has become somebody whom we may not signal.
    } catch (const weir::NotSupportedError&) {
      // The system passes on none; a child on our console has heard of it as we have.
    }
  }

 private:
  template <class F>
  void pass(int number, F handler) {
    loop_.add_signal_handler(number, std::move(handler));
    passed_.push_back(number);
  }

  weir::EventLoop& loop_;
  std::vector<int> passed_;
};

// Our terminal's size is the child's.
class SizeWatch {
 public:
  SizeWatch(weir::EventLoop& loop, Ref<weir::SubprocessTransport> child) : loop_(loop) {
    if (resize_signal() != 0) {
      loop_.add_signal_handler(resize_signal(), [child = std::move(child)] {
        const auto size = terminal_size();
        if (size && child->get_pipe_transport(1) != nullptr) {
          child->set_terminal_size(*size);
        }
      });
    }
  }
  SizeWatch(const SizeWatch&) = delete;
  ~SizeWatch() {
    if (resize_signal() != 0) {
      loop_.remove_signal_handler(resize_signal());
    }
  }

 private:
  weir::EventLoop& loop_;
};

// For a child that takes too long: asks it to end, then kills it.
class Deadline {
 public:
  Deadline(weir::EventLoop& loop, const ExecPlan& plan, Ref<weir::Process> process) {
    if (plan.timeout.count() != 0) {
      timer_ = loop.call_later(plan.timeout, [this, &loop, process] {
        is_over_ = true;
        Passing::send(*process, SIGTERM);
        timer_ = loop.call_later(until_kill, [process] { process->transport()->close(); });
      });
    }
  }
  Deadline(const Deadline&) = delete;
  ~Deadline() { timer_.cancel(); }
  bool is_over() const noexcept { return is_over_; }

 private:
  weir::TimerHandle timer_;
  bool is_over_ = false;
};

// The next piece of what the child writes; nothing at its end. When it cannot be read, it says so, and
// `is_whole` is false.
weir::Coro<weir::Bytes> read_piece(Ref<weir::StreamReader> reader, int fd, bool& is_whole) {
  try {
    co_return co_await reader->read(piece);
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "weir exec: what the child writes to %d cannot be read: %s\n", fd, error.what());
    is_whole = false;
  }
  co_return weir::Bytes();
}

// What the child writes, as fast as it is taken from us. When nobody takes it any more, the child is told.
// False when not all of it could be read.
weir::Coro<bool> pass_output(weir::EventLoop& loop, Ref<weir::Process> process, int fd,
                             std::shared_ptr<StandardOutput> output) {
  const Ref<weir::StreamReader> reader = fd == 1 ? process->std_out() : process->std_err();
  bool is_whole = true;
  if (reader == nullptr) {
    co_return is_whole;
  }
  try {
    while (true) {
      weir::Bytes data = co_await read_piece(reader, fd, is_whole);
      if (data.empty()) {
        break;
      }
      co_await output->write(loop, std::move(data));
    }
    co_await output->finish();
  } catch (const std::system_error&) {
    if (const Ref<weir::Transport> pipe = process->transport()->get_pipe_transport(fd); pipe != nullptr) {
      pipe->abort();
    }
  }
  co_return is_whole;
}

// What is typed, or comes from a pipe. The end of it is typed as a terminal has it.
weir::Coro<void> pass_input(weir::EventLoop& loop, Ref<weir::Process> process,
                            std::shared_ptr<StandardInput> input) {
  try {
    while (true) {
      weir::Bytes data = co_await input->read(loop, static_cast<std::size_t>(piece));
      if (data.empty()) {
        break;
      }
      process->std_in()->write(std::move(data));
      co_await process->std_in()->drain();
    }
    process->std_in()->write("\x04");
    co_await process->std_in()->drain();
  } catch (const std::system_error&) {
    // The child has gone, or what we read from.
  }
}

int exit_status(int returncode) {
  return returncode < 0 && weir::has_capability("process_signals") ? 128 - returncode : returncode;
}

weir::SubprocessOptions options_for(const ExecPlan& plan) {
  weir::SubprocessOptions options;
  if (plan.pty) {
    options.terminal = terminal_size().value_or(weir::TerminalSize());
  } else {
    options.std_out = options.std_err = weir::Stdio::pipe();
  }
  return options;
}

// Both tasks of the outputs, for a while after the child's end. Have both passed all of it on?
weir::Coro<bool> end_of_outputs(weir::EventLoop& loop, Ref<weir::Process> process,
                                std::array<weir::Task<bool>, 2>& outputs) {
  weir::TimerHandle limit = loop.call_later(after_end, [process] { process->transport()->close(); });
  bool are_whole = true;
  for (weir::Task<bool>& output : outputs) {
    const bool is_whole = co_await output;
    are_whole = are_whole && is_whole;
  }
  limit.cancel();
  co_return are_whole;
}

weir::Coro<int> stream(const ExecPlan& plan, Ref<weir::Process> process) {
  weir::EventLoop& loop = process->transport()->get_loop();
  const bool typed = stdin_is_terminal();
  const Passing passing(loop, process, plan.pty || !typed);
  const Deadline deadline(loop, plan, process);
  std::optional<RawTerminal> raw;
  std::optional<SizeWatch> watch;
  std::optional<weir::Task<void>> typing;
  if (plan.pty) {
    raw.emplace();
    watch.emplace(loop, process->transport());
    typing.emplace(loop.create_task(pass_input(loop, process, std::make_shared<StandardInput>())));
  }
  auto out = std::make_shared<StandardOutput>();
  auto err = std::make_shared<StandardOutput>(standard_error());
  std::array<weir::Task<bool>, 2> outputs = {loop.create_task(pass_output(loop, process, 1, out)),
                                             loop.create_task(pass_output(loop, process, 2, err))};
  const int returncode = co_await process->wait();
  const int status = deadline.is_over() ? timed_out : exit_status(returncode);
  const bool are_whole = co_await end_of_outputs(loop, process, outputs);
  if (typing) {
    typing->cancel();
  }
  co_return are_whole || status != 0 ? status : 1;
}

void print_result(const ExecPlan& plan, const weir::Process& process, std::string_view output,
                  std::string_view error_output) {
  std::string text = R"({"command":[)";
  for (const std::string& argument : plan.command) {
    text += (text.back() == '[' ? "" : ",") + json_text(argument);
  }
  const int returncode = process.returncode().value_or(0);
  text += R"(],"pid":)" + std::to_string(process.pid());
  text += R"(,"returncode":)" + std::to_string(returncode);
  text += R"(,"stdout":)" + json_text(output) + R"(,"stderr":)" + json_text(error_output) + "}";
  std::puts(text.c_str());
}

// All of it at its end, as one object.
weir::Coro<int> report(const ExecPlan& plan, Ref<weir::Process> process) {
  weir::EventLoop& loop = process->transport()->get_loop();
  const Passing passing(loop, process, plan.pty || !stdin_is_terminal());
  weir::CommunicateOptions options;
  options.max_output = most_reported;
  if (plan.timeout.count() != 0) {
    options.timeout = plan.timeout;
  }
  std::pair<weir::Bytes, weir::Bytes> outputs;
  int status = timed_out;
  try {
    outputs = co_await process->communicate({}, options);
    status = exit_status(*process->returncode());
  } catch (const weir::TimeoutError&) {
    // What it had written is lost.
  }
  print_result(plan, *process, outputs.first.view(), outputs.second.view());
  co_return status;
}

}  // namespace

weir::Coro<int> exec(const ExecPlan& plan) {
  const weir::SubprocessOptions options = options_for(plan);
  Ref<weir::Process> process;
  int status = 0;
  try {
    process = co_await weir::create_subprocess_exec(plan.command, options);
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "weir exec: %s\n", error.what());
    status = error.code() == std::errc::no_such_file_or_directory ? not_found
             : error.code() == std::errc::permission_denied       ? not_permitted
                                                                  : 1;
  }
  if (process == nullptr) {
    co_return status;
  }
  if (plan.json) {
    co_return co_await report(plan, process);
  }
  co_return co_await stream(plan, process);
}

}  // namespace program
