// `weir info`: what to put into a bug report.
#include "tools/weir/duration_text.hpp"
#include "tools/weir/host.hpp"
#include "tools/weir/verbs.hpp"

#include <weir/info.hpp>
#include <weir/version.hpp>

#include <cstdio>
#include <string>

namespace program {

int info() {
  std::printf("weir %s\nbackend: %s\n\ncapabilities:\n", weir::library_version(), weir::backend_name());
  for (const weir::CapabilityInfo& capability : weir::capabilities()) {
    std::printf("  %-19.*s %-4s %.*s\n", static_cast<int>(capability.name.size()), capability.name.data(),
                capability.available ? "yes" : "no", static_cast<int>(capability.meaning.size()),
                capability.meaning.data());
  }
  std::printf("\nlimits:\n");
  if (const auto limit = descriptor_limit()) {
    std::printf("  open descriptors    %llu, and %llu for the verbs that listen or ping\n",
                static_cast<unsigned long long>(limit->now), static_cast<unsigned long long>(limit->most));
  }
  if (const auto limit = backlog_limit()) {
    std::printf("  backlog             %llu connections may wait to be accepted\n",
                static_cast<unsigned long long>(*limit));
  }
  return 0;
}

}  // namespace program
