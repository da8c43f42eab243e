// What workers do in the tests, in the program of the tests started again.
#include "tests/subprocess/pool_functions.hpp"

#include "tests/support/system.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/file.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <vector>

#if !defined(_WIN32)
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <csignal>
#endif

namespace weir::testing {

namespace {

[[maybe_unused]] const bool is_hooked = [] {
  run_instead = [] { return is_process_worker() ? std::optional<int>(run_process_worker()) : std::nullopt; };
  return true;
}();

std::string text_of(std::span<const std::byte> input) { return std::string(as_text(input)); }

Bytes reversed(std::span<const std::byte> input) {
  Bytes output(input);
  std::reverse(output.data(), output.data() + output.size());
  return output;
}

Bytes throw_text(std::span<const std::byte> input) { throw std::runtime_error(text_of(input)); }
Bytes throw_number(std::span<const std::byte>) { throw 42; }

#if !defined(_WIN32)

Bytes own_pid(std::span<const std::byte>) { return Bytes(std::to_string(::getpid())); }

// The sockets that this process has: of a worker, the one to its pool.
std::vector<int> sockets() {
  std::vector<int> found;
  for (int fd = 3; fd != 256; ++fd) {
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0) {
      found.push_back(fd);
    }
  }
  return found;
}

Bytes describe_surroundings(std::span<const std::byte>) {
  static int count = 0;
  char byte = 0;
  std::puts("(a process function says so)");
  std::string text = ::read(0, &byte, 1) == 0 ? "input:end" : "input:open";
  text += is_process_worker() ? " variable:set" : " variable:none";
  text += " sockets:" + std::to_string(sockets().size());
  std::raise(SIGINT);
  return Bytes(text + " jobs:" + std::to_string(++count));
}

Bytes exit_now(std::span<const std::byte> input) { std::_Exit(std::stoi(text_of(input))); }

Bytes raise_now(std::span<const std::byte> input) {
  std::raise(std::stoi(text_of(input)));
  return {};
}

Bytes hold_on(std::span<const std::byte> input) {
  std::ofstream(text_of(input) + ".begun").close();
  File::open(text_of(input), FileMode::read).close();
  return own_pid(input);
}

Bytes stay_on(std::span<const std::byte> input) {
  std::signal(SIGTERM, SIG_IGN);
  std::ofstream(text_of(input)).close();
  for (;;) {
    ::pause();
  }
}

Bytes write_raw(std::span<const std::byte> input) {
  if (::write(sockets().at(0), input.data(), input.size()) != static_cast<ssize_t>(input.size())) {
    throw std::runtime_error("write");
  }
  return {};
}

Bytes shut_raw(std::span<const std::byte> input) {
  ::close(sockets().at(0));
  return stay_on(input);
}

Bytes leave_child(std::span<const std::byte> input) {
  if (::fork() == 0) {
    hold_on(input);
    std::_Exit(0);
  }
  std::_Exit(4);
}

#else
Bytes nothing(std::span<const std::byte>) { return {}; }
constexpr ProcessFunction::Function own_pid = &nothing, describe_surroundings = &nothing, exit_now = &nothing,
                                    raise_now = &nothing, hold_on = &nothing, stay_on = &nothing,
                                    write_raw = &nothing, shut_raw = &nothing, leave_child = &nothing;
#endif

}  // namespace

const ProcessFunction reverse("reverse", &reversed);
const ProcessFunction pid_of("pid_of", own_pid);
const ProcessFunction fail_with("fail_with", &throw_text);
const ProcessFunction fail_oddly("fail_oddly", &throw_number);
const ProcessFunction surroundings("surroundings", describe_surroundings);
const ProcessFunction exit_with("exit_with", exit_now);
const ProcessFunction raise_signal("raise_signal", raise_now);
const ProcessFunction hold("hold", hold_on);
const ProcessFunction stay("stay", stay_on);
const ProcessFunction send_raw("send_raw", write_raw);
const ProcessFunction close_raw("close_raw", shut_raw);
const ProcessFunction pass_on("pass_on", leave_child);

Stage::Stage() : folder_(make_scratch_folder("weir-pool")) {
#if !defined(_WIN32)
  REQUIRE(::mkfifo(pipe().c_str(), 0600) == 0);
#endif
}

Stage::~Stage() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void Stage::release() const { File::open(pipe(), FileMode::write).close(); }

Coro<std::string> failure_of(Future<Bytes> future) {
  co_await until([&] { return future.done(); });
  if (future.cancelled()) {
    co_return "cancelled";
  }
  try {
    future.result();
  } catch (const BrokenProcessPool& error) {
    co_return std::string("BrokenProcessPool: ") + error.what();
  } catch (const ProcessJobError& error) {
    co_return std::string("ProcessJobError: ") + error.what();
  } catch (const TimeoutError& error) {
    co_return std::string("TimeoutError: ") + error.what();
  } catch (const std::exception& error) {
    co_return std::string("other: ") + error.what();
  }
  co_return "no failure";
}

}  // namespace weir::testing
