// The floor of children: posix_spawn, a pidfd, a poll, a wait.
#include "bench/micro/resident.hpp"
#include "bench/micro/row.hpp"

#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <system_error>

namespace {

void check(int error, const char* call) {
  if (error != 0) {
    throw std::system_error(error, std::generic_category(), call);
  }
}

class Spawn {
 public:
  explicit Spawn(std::size_t count) : count_(count) {}

  void run(bench::Meter& meter) {
    meter.start();
    for (std::size_t i = 0; i != count_; ++i) {
      one();
    }
    meter.stop();
  }

 private:
  static void one() {
    char program[] = "/bin/true";
    char* const args[] = {program, nullptr};
    pid_t pid = 0;
    check(::posix_spawn(&pid, program, nullptr, nullptr, args, ::environ), "posix_spawn");
    const int process = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    check(process < 0 ? errno : 0, "pidfd_open");
    pollfd ended{process, POLLIN, 0};
    check(::poll(&ended, 1, -1) < 0 ? errno : 0, "poll");
    siginfo_t info{};
    check(::waitid(static_cast<idtype_t>(3), static_cast<id_t>(process), &info, WEXITED) < 0 ? errno : 0,
          "waitid");
    ::close(process);
    check(info.si_status, "/bin/true");
  }

  std::size_t count_;
};

const bench::Row<Spawn> proc_spawn("proc_spawn/floor", 200);
const bench::Row<bench::WithMuch<Spawn>> proc_spawn_2gib("proc_spawn_2gib/floor", 20);

}  // namespace
