// The program that runs the scenarios: all, or those named. `--list` prints the names only.
#include "tests/asyncio_parity/trace.hpp"

#include <weir/exceptions.hpp>
#include <weir/info.hpp>
#include <weir/log.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <system_error>
#include <vector>

namespace parity {

namespace {

using namespace std::chrono_literals;

struct Entry {
  std::string name;
  weir::Coro<void> (*coroutine)(weir::EventLoop&) = nullptr;
  void (*function)(weir::EventLoop&) = nullptr;
};

std::vector<Entry>& entries() {
  static std::vector<Entry> all;
  return all;
}

std::string kind_of(const std::error_code& code) {
  if (code == std::errc::connection_reset) {
    return "ConnectionResetError";
  }
  if (code == std::errc::connection_refused) {
    return "ConnectionRefusedError";
  }
  if (code == std::errc::broken_pipe) {
    return "BrokenPipeError";
  }
  return "OSError";
}

std::string with_text(const char* type, const char* message) {
  return *message == '\0' ? std::string(type) : std::string(type) + '(' + message + ')';
}

std::string message_of(const std::string& message) {
  constexpr std::string_view in_callback = "Exception in callback";
  constexpr std::string_view in_handler = "Unhandled error in exception handler";
  for (const std::string_view known : {in_callback, in_handler}) {
    if (message.starts_with(known)) {
      return std::string(known);
    }
  }
  return message.substr(0, message.find('\n'));
}

void run(const Entry& entry) {
  std::printf("== %s\n", entry.name.c_str());
  weir::EventLoop loop;
  loop.set_exception_handler(&on_report);
  try {
    if (entry.coroutine != nullptr) {
      loop.run_until_complete(entry.coroutine(loop));
      loop.run_until_complete(loop.shutdown_asyncgens());
    } else {
      entry.function(loop);
    }
  } catch (...) {
    trace("escaped:", kind(std::current_exception()));
  }
  if (!loop.is_closed()) {
    loop.run_until_complete(loop.shutdown_default_executor());
  }
}

}  // namespace

std::string kind(const std::exception_ptr& exception) {
  if (exception == nullptr) {
    return "none";
  }
  try {
    std::rethrow_exception(exception);
  } catch (const Oops& e) {
    return with_text("Oops", e.what());
  } catch (const weir::CancelledError& e) {
    return with_text("CancelledError", e.what());
  } catch (const weir::KeyboardInterrupt&) {
    return "KeyboardInterrupt";
  } catch (const weir::GeneratorExit&) {
    return "GeneratorExit";
  } catch (const weir::InvalidStateError&) {
    return "InvalidStateError";
  } catch (const weir::TimeoutError&) {
    return "TimeoutError";
  } catch (const weir::NotSupportedError&) {
    return "NotImplementedError";
  } catch (const weir::BrokenBarrierError&) {
    return "BrokenBarrierError";
  } catch (const weir::QueueEmpty&) {
    return "QueueEmpty";
  } catch (const weir::QueueFull&) {
    return "QueueFull";
  } catch (const weir::RuntimeError&) {
    return "RuntimeError";
  } catch (const std::system_error& e) {
    return kind_of(e.code());
  } catch (const std::invalid_argument&) {
    return "ValueError";
  } catch (const std::out_of_range&) {
    return "LookupError";
  } catch (...) {
    return "unknown: " + weir::describe_exception(exception);
  }
}

void turns(weir::EventLoop& loop, int count, int first) {
  if (count != 0) {
    loop.call_soon([&loop, count, first] {
      trace("turn", first);
      turns(loop, count - 1, first + 1);
    });
  }
}

weir::Coro<void> settle() {
  if (!weir::has_capability("real_clock")) {
    co_await weir::sleep(10ms);
    co_return;
  }
  for (int i = 0; i != 50; ++i) {
    co_await weir::sleep(0s);
  }
}

void on_report(weir::EventLoop&, const weir::ExceptionContext& context) {
  std::string line = "report: " + message_of(context.message) + " | " + kind(context.exception);
  line += context.transport != nullptr ? " transport" : "";
  line += context.protocol != nullptr ? " protocol" : "";
  line += context.task != nullptr || context.future != nullptr ? " future" : "";
  trace(line);
}

Scenario::Scenario(const char* group, const char* name, weir::Coro<void> (*body)(weir::EventLoop&)) {
  entries().push_back({std::string(group) + '/' + name, body, nullptr});
}
Scenario::Scenario(const char* group, const char* name, void (*body)(weir::EventLoop&)) {
  entries().push_back({std::string(group) + '/' + name, nullptr, body});
}

}  // namespace parity

int main(int argc, char** argv) {
  using namespace parity;
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // a scenario that ends the program has told so far
  const std::vector<std::string_view> names(argv + 1, argv + argc);
  weir::set_log_sink([](weir::LogLevel level, std::string_view message) {
    if (level == weir::LogLevel::error) {
      trace("logged:", message_of(std::string(message)));
    }
  });
  for (const Entry& entry : entries()) {
    if (!names.empty() && names.front() == "--list") {
      std::puts(entry.name.c_str());
    } else if (names.empty() || std::find(names.begin(), names.end(), entry.name) != names.end()) {
      run(entry);
    }
  }
  return 0;
}
