// What nearly every suite reads, compiled once for each backend (Meson's option b_pch). No source may need
// it: each includes what it uses.
#include "tests/support/weir_test.hpp"

#include <weir/weir.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>
