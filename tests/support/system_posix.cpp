// The machine as POSIX shows it.
#include "tests/support/system.hpp"

#include <doctest/doctest.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <cstdlib>
#include <ctime>

namespace weir::testing {

std::size_t machine_descriptors() {
  DIR* directory = ::opendir("/proc/self/fd");
  REQUIRE(directory != nullptr);
  std::size_t count = 0;
  while (::readdir(directory) != nullptr) {
    ++count;
  }
  ::closedir(directory);
  return count;
}

std::filesystem::path make_scratch_folder(const std::string& prefix) {
  std::string path = (std::filesystem::temp_directory_path() / (prefix + "XXXXXX")).string();
  REQUIRE(::mkdtemp(path.data()) != nullptr);
  return path;
}

void set_environment(const char* name, const char* value) {
  if (value != nullptr) {
    ::setenv(name, value, 1);
  } else {
    ::unsetenv(name);
  }
}

std::chrono::nanoseconds thread_cpu_time() {
  timespec spent{};
  REQUIRE(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent) == 0);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

void pass_frame() { ::poll(nullptr, 0, 1); }

SignalHandler signal_handler(int number) {
  struct sigaction current{};
  REQUIRE(::sigaction(number, nullptr, &current) == 0);
  return current.sa_handler;
}

std::function<void()> set_signal_handler(int number, SignalHandler handler) {
  struct sigaction wanted{};
  struct sigaction before{};
  wanted.sa_handler = handler;
  REQUIRE(::sigaction(number, &wanted, &before) == 0);
  return [before, number] { ::sigaction(number, &before, nullptr); };
}

void stay_signal_handler(int, SignalHandler) {}

// A number or a pointer.
Interrupter::Interrupter() : main_thread_((std::uintptr_t)::pthread_self()) {}
void Interrupter::interrupt() const { ::pthread_kill((pthread_t)main_thread_, SIGINT); }

MachinePipe::MachinePipe() { REQUIRE(::pipe(ends) == 0); }
MachinePipe::~MachinePipe() {
  ::close(ends[0]);
  ::close(ends[1]);
}

bool is_inheritable(native_file native) {
  const int flags = ::fcntl(native, F_GETFD);
  REQUIRE(flags >= 0);
  return (flags & FD_CLOEXEC) == 0;
}

}  // namespace weir::testing
