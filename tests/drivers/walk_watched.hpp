// A socket pair that a walk watches: what the callbacks of its watchers may assume.
#pragma once

#include "tests/drivers/walk.hpp"

namespace weir::testing {

struct Walk::Watched {
  Watched() {
    auto [one, other] = Socket::pair();
    near = std::move(one);
    far = std::move(other);
  }
  Socket near, far;
  bool reads = false;   // add_reader came last
  bool writes = false;  // add_writer came last
};

}  // namespace weir::testing
