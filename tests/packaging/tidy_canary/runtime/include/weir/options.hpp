// Options that own something, and other sins of a public header.
#pragma once

#include <poll.h>              // expect: platform-header
#include "runtime/private.hpp" // expect: room

struct WEIR_API BadOptions {
  std::string_view name;
  std::string owned;          // expect: options
  std::vector<int> more;      // expect: options
  std::function<void()> call; // expect: options
};

struct GoodOptions {
  std::string_view name;
  std::span<const std::string> more;
  const std::string* text = nullptr;
  std::unique_ptr<int> (*make)() = nullptr;
};

struct Other {
  std::string name;
};
