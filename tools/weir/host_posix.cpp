// The terminal, the limits and the files of a POSIX system.
#include "tools/weir/host.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <new>
#include <span>

namespace program {

bool stderr_is_terminal() noexcept { return ::isatty(STDERR_FILENO) == 1; }
bool stdin_is_terminal() noexcept { return ::isatty(STDIN_FILENO) == 1; }

weir::native_file standard_input() noexcept { return STDIN_FILENO; }
weir::native_file standard_output() noexcept { return STDOUT_FILENO; }
weir::native_file standard_error() noexcept { return STDERR_FILENO; }

std::optional<weir::TerminalSize> terminal_size() noexcept {
  winsize size{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0) {
    return std::nullopt;
  }
  return weir::TerminalSize{size.ws_row, size.ws_col};
}

int resize_signal() noexcept { return SIGWINCH; }
std::vector<int> control_signals() { return {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}; }
std::vector<int> typed_signals() { return {SIGINT, SIGQUIT}; }

struct RawTerminal::Before {
  termios settings;
};

RawTerminal::RawTerminal() noexcept {
  termios before{};
  if (::tcgetattr(STDIN_FILENO, &before) != 0) {
    return;
  }
  termios raw = before;
  ::cfmakeraw(&raw);
  if (::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0) {
    before_.reset(new (std::nothrow) Before{before});
  }
}

RawTerminal::~RawTerminal() {
  if (before_ != nullptr) {
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_->settings);
  }
}

std::optional<DescriptorLimit> descriptor_limit() noexcept {
  struct rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return std::nullopt;
  }
  return DescriptorLimit{limit.rlim_cur, limit.rlim_max};
}

void raise_descriptor_limit() noexcept {
  struct rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

std::optional<std::uint64_t> backlog_limit() noexcept {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/sys/net/core/somaxconn", "re"),
                                                             &std::fclose);
  unsigned long long limit = 0;
  if (file == nullptr || std::fscanf(file.get(), "%llu", &limit) != 1) {
    return std::nullopt;
  }
  return limit;
}

namespace {

constexpr int reading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

Opened failed(int error) noexcept { return {.error = std::error_code(error, std::generic_category())}; }

// Of a descriptor, or of -1 and errno.
Opened opened(int fd) noexcept {
  if (fd < 0) {
    return failed(errno);
  }
  Opened found;
  found.file = weir::File::adopt(fd);
  struct stat status{};
  if (::fstat(fd, &status) != 0) {
    return failed(errno);
  }
  found.is_folder = S_ISDIR(status.st_mode);
  found.is_regular = S_ISREG(status.st_mode);
  found.size = static_cast<std::uint64_t>(status.st_size);
  found.modified = std::chrono::sys_seconds(std::chrono::seconds(status.st_mtime));
  return found;
}

}  // namespace

Opened open_beneath([[maybe_unused]] const weir::File& folder,
                    [[maybe_unused]] const std::string& path) noexcept {
#ifdef SYS_openat2
  open_how how{};
  how.flags = reading;
  how.resolve = RESOLVE_BENEATH;
  Opened found = opened(
      static_cast<int>(::syscall(SYS_openat2, folder.native_handle(), path.c_str(), &how, sizeof how)));
  // A link out of the folder, or one with an absolute path, which may lead back into it; an older system, or
  // one that is not allowed to be asked.
  if (found.error.value() != EXDEV && found.error.value() != ENOSYS && found.error.value() != EPERM) {
    return found;
  }
#endif
  return failed(ENOSYS);
}

Opened open_file(const std::string& path) noexcept { return opened(::open(path.c_str(), reading)); }

weir::File open_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (fd < 0) {
    throw std::system_error(errno, std::generic_category(), path);
  }
  return weir::File::adopt(fd);
}

void write_new_file(const std::string& path, std::string_view text, Readers readers) {
  const int rights = readers == Readers::owner ? 0600 : 0644;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, rights);
  if (fd < 0) {
    throw std::system_error(errno, std::generic_category(), path);
  }
  weir::File file = weir::File::adopt(fd);
  for (std::span<const std::byte> left = std::as_bytes(std::span(text)); !left.empty();) {
    left = left.subspan(file.write(left));
  }
}

}  // namespace program
