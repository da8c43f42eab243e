// Small complete programs, one for each way to use a loop, for the drivers to fail, abandon, split and
// cancel. Each ends by itself, whatever goes wrong, and says what it saw.
#pragma once

#include "tests/drivers/guards.hpp"

#include <weir/coro.hpp>
#include <weir/executor.hpp>
#include <weir/task.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace weir::testing {

// What a scenario gets to know.
struct Stage {
  EventLoop& loop;
  Guards guards;
  // Where the text that travels is split in two: the second part leaves when the first has come back. 0: not.
  std::size_t split = 0;
  // The pieces in which a buffered protocol takes what arrives.
  std::size_t buffer = 64;
  // What a persistent scenario has to say: its task may end cancelled all the same.
  std::string note;
  // Of the executor scenario; whoever drives it waits for its threads.
  std::shared_ptr<ThreadPoolExecutor> executor;
};

// What travels in every echo.
inline constexpr std::string_view travelling_text = "0123456789abcdefghijklmn";

struct Scenario {
  const char* name;
  Coro<std::string> (*body)(Stage& stage);
  std::string_view result;  // of an undisturbed run
  bool carries_text;        // does stage.split mean anything to it?
};

std::span<const Scenario> scenarios();
// Those of them that datagrams are for: datagram_scenarios.cpp.
Coro<std::string> echo_datagrams(Stage& stage);
Coro<std::string> echo_sock_datagrams(Stage& stage);
// That of files: file_scenarios.cpp.
Coro<std::string> send_files(Stage& stage);
// That of primitives: sync_scenario.cpp.
Coro<std::string> locks_and_queues(Stage& stage);
// Those that go on when their task is cancelled, and say in stage.note what they have in the end.
std::span<const Scenario> persistent_scenarios();

// Cancels the task and waits for its end; its own error is of no interest any more.
Coro<void> end(Task<void> task);

// Does a loop still do its work? Timers, callbacks, tasks and bytes.
Coro<bool> is_alive(EventLoop& loop);

}  // namespace weir::testing
