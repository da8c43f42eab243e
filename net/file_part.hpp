// FilePart: what of a file a sendfile() sends, and how far it is.
#pragma once

#include <weir/net/file.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

struct FilePart {
  File* file;
  std::uint64_t offset;
  std::uint64_t count;
  bool fallback;
  std::uint64_t sent = 0;

  std::uint64_t at() const noexcept { return offset + sent; }
  std::size_t left(std::size_t most) const noexcept {
    return static_cast<std::size_t>(std::min<std::uint64_t>(count - sent, most));
  }
  // Leaves the file's position where the sending ended. An error hides no other one: a file that has no
  // position keeps none.
  void set_position() const noexcept;
};

}  // namespace weir::inline WEIR_ABI::detail
