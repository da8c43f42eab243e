// What the tests ask of the machine they run on, past weir. A POSIX and a Windows part, and the simulator
// runs on either.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/raw_address.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace weir::testing {

// The sockets, files, pipes and means to wait for them that this process has.
std::size_t machine_descriptors();

// A new, empty folder that nobody else knows, in the place for temporary files.
std::filesystem::path make_scratch_folder(const std::string& prefix);

// Sets an environment variable; null: unsets it.
void set_environment(const char* name, const char* value);

// The processor time that this thread has used.
std::chrono::nanoseconds thread_cpu_time();

// Waits for a millisecond: a frame of a host that draws.
void pass_frame();

// How a signal is handled.
using SignalHandler = void (*)(int);
SignalHandler signal_handler(int number);
// Has it handled otherwise. What is given back puts back what was there.
std::function<void()> set_signal_handler(int number, SignalHandler handler);
// For a handler to call first: some C libraries forget a handler when they call it.
void stay_signal_handler(int number, SignalHandler handler);
// Ctrl-C, as a terminal gives it to the main thread or, on Windows, to one of the system's. From any thread.
class Interrupter {
 public:
  Interrupter();  // on the main thread
  void interrupt() const;

 private:
  std::uintptr_t main_thread_ = 0;
};

// The two ends of a pipe of the machine, made past weir: to read from and to write to.
class MachinePipe {
 public:
  MachinePipe();
  MachinePipe(const MachinePipe&) = delete;
  MachinePipe& operator=(const MachinePipe&) = delete;
  ~MachinePipe();
  native_file ends[2] = {invalid_file, invalid_file};
};

// Would a child inherit it?
bool is_inheritable(native_file native);

}  // namespace weir::testing
