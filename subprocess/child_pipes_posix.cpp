// Pipes to children on POSIX systems: one end is made blocking.
#include "subprocess/child_pipes.hpp"

#include <utility>

namespace weir::inline WEIR_ABI::detail {

Ends open_child_pipe(int fd) {
  auto [reading, writing] = File::pipe();
  (fd == 0 ? reading : writing).set_non_blocking(false);
  return fd == 0 ? Ends{std::move(reading), std::move(writing)}
                 : Ends{std::move(writing), std::move(reading)};
}

Ends open_null_device(int fd) {
  return {File::open("/dev/null", fd == 0 ? FileMode::read : FileMode::write), {}};
}

}  // namespace weir::inline WEIR_ABI::detail
