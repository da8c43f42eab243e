// What the library says about itself.
#include <doctest/doctest.h>

#include <string>
#include <weir/version.hpp>

TEST_CASE("the library and its headers have one version") {
  CHECK(std::string(weir::library_version()) == WEIR_VERSION);
  const std::string parts = std::to_string(WEIR_VERSION_MAJOR) + "." + std::to_string(WEIR_VERSION_MINOR) +
                            "." + std::to_string(WEIR_VERSION_PATCH);
  CHECK(parts == WEIR_VERSION);
}

TEST_CASE("the library was built for the backend that its headers name") {
  CHECK(std::string(weir::backend_name()) == WEIR_BACKEND_NAME);
}
