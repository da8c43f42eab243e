// The scenarios of Unix sockets and pipes; scenarios.cpp lists them among the others.
#pragma once

#include "tests/drivers/scenarios.hpp"

namespace weir::testing {

// A descriptor that travels with the text, which comes back through it.
Coro<std::string> descriptors(Stage& stage);
// A pipe from one transport to the other.
Coro<std::string> pipe(Stage& stage);

}  // namespace weir::testing
