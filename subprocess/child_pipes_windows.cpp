// Pipes to children on Windows, where it is decided when an end is made whether its calls wait: ours is for
// overlapped operations, the child's is not.
#include "subprocess/child_pipes.hpp"

#include "backends/windows/files.hpp"
#include "net/file_access.hpp"
#include "net/os_error.hpp"

#include <utility>

namespace weir::inline WEIR_ABI::detail {

Ends open_child_pipe(int fd) {
  native_file ends[2] = {invalid_file, invalid_file};
  check(WindowsFiles::open_pipe_to_child(ends, fd == 0 ? Direction::read : Direction::write), "pipe");
  File reading = FileAccess::own(ends[0]);
  File writing = FileAccess::own(ends[1]);
  return fd == 0 ? Ends{std::move(reading), std::move(writing)}
                 : Ends{std::move(writing), std::move(reading)};
}

Ends open_null_device(int fd) { return {File::open("NUL", fd == 0 ? FileMode::read : FileMode::write), {}}; }

}  // namespace weir::inline WEIR_ABI::detail
