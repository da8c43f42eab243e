// The terminal and the limits of a POSIX system.
#include "tools/weir/host.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

namespace program {

bool stderr_is_terminal() noexcept { return ::isatty(STDERR_FILENO) == 1; }

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

}  // namespace program
