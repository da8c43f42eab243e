// What the library says about its backend's capabilities.
#include "backends/chosen.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <set>
#include <stdexcept>
#include <string_view>
#include <weir/info.hpp>

TEST_CASE(
    "every capability of the contract is listed once, with its meaning and what the backend says of it") {
  std::set<std::string_view> names;
  std::size_t index = 0;
  for (const weir::CapabilityInfo& one : weir::capabilities()) {
    const auto capability = static_cast<weir::detail::Capability>(index++);
    CHECK(one.name == weir::detail::capability_name(capability));
    CHECK(one.available == weir::detail::Backend::has(capability));
    CHECK(!one.meaning.empty());
    const int size = static_cast<int>(one.name.size());
    std::printf("weir-capability: %.*s %s\n", size, one.name.data(),
                one.available ? "yes" : "no");  // for tools/matrix
    names.insert(one.name);
  }
  CHECK(index == static_cast<std::size_t>(weir::detail::last_capability) + 1);
  CHECK(names.size() == index);
}

TEST_CASE("a capability is asked for by its name") {
#ifdef WEIR_BACKEND_SIM
  CHECK(!weir::has_capability("real_network"));
#else
  CHECK(weir::has_capability("real_network"));
#endif
  for (const weir::CapabilityInfo& one : weir::capabilities()) {
    CHECK(weir::has_capability(one.name) == one.available);
  }
}

TEST_CASE("a name that is none is refused") {
  CHECK_THROWS_WITH_AS(weir::has_capability("real_netwrok"),
                       "has_capability: there is no capability 'real_netwrok'", std::invalid_argument);
  CHECK_THROWS_AS(weir::has_capability(""), std::invalid_argument);
}
