// What becomes one of a child's standard descriptors, and the end of it that stays here. A file for each
// system.
#pragma once

#include <weir/net/file.hpp>

namespace weir::inline WEIR_ABI::detail {

struct Ends {
  File of_child;
  File of_parent;
};

// A pipe. Calls on the child's end wait: nobody expects anything else of its standard input or output.
Ends open_child_pipe(int fd);
// The null device, which has one end.
Ends open_null_device(int fd);

}  // namespace weir::inline WEIR_ABI::detail
