// The functions that the workers of the tests of ProcessPoolExecutor run, and what these tests share.
#pragma once

#include "tests/support/weir_test.hpp"

#include <weir/subprocess/process_pool.hpp>

#include <exception>
#include <filesystem>
#include <string>
#include <string_view>

namespace weir::testing {

// The bytes, the last first.
extern const ProcessFunction reverse;
// The number of the worker, as a text.
extern const ProcessFunction pid_of;
// Throws a std::runtime_error with the input as its text; throws what is no std::exception.
extern const ProcessFunction fail_with;
extern const ProcessFunction fail_oddly;
// What it finds: "input:end variable:none sockets:1 jobs:" and how often it has run in this worker. It gets
// SIGINT as well, and prints a line.
extern const ProcessFunction surroundings;
// Exits with that number; raises the signal of that number.
extern const ProcessFunction exit_with;
extern const ProcessFunction raise_signal;
// Makes the file <input>.begun, waits for somebody to open the pipe <input>, and gives the worker's number.
extern const ProcessFunction hold;
// Makes the file <input>, and never ends. Ignores SIGTERM.
extern const ProcessFunction stay;
// Writes the input to the pool's socket past everybody, and answers besides.
extern const ProcessFunction send_raw;
// Closes the pool's socket and does as stay.
extern const ProcessFunction close_raw;
// Leaves a child behind that has the socket and does as hold, and exits with 4.
extern const ProcessFunction pass_on;

// A folder with a named pipe in it, where jobs say that they have begun, and wait.
class Stage {
 public:
  Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage();
  // What to give to `hold`, or another file for `stay`.
  std::string pipe() const { return (folder_ / "pipe").string(); }
  std::string file() const { return (folder_ / "file").string(); }
  bool holds() const { return exists(folder_ / "pipe.begun"); }
  bool stays() const { return exists(folder_ / "file"); }
  // Lets the job that holds go on.
  void release() const;

 private:
  std::filesystem::path folder_;
};

// What the future failed with: its type and text, as "BrokenProcessPool: …"; "cancelled"; "no failure".
Coro<std::string> failure_of(Future<Bytes> future);

}  // namespace weir::testing
