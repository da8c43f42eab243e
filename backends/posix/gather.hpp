// A gather list as the system wants it.
#pragma once

#include <weir/detail/op.hpp>

#include <sys/uio.h>
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>

namespace weir::inline WEIR_ABI::detail {

struct Gathered {
  // The system takes no more than this many (IOV_MAX); a few are filled in on the way without touching the
  // rest of the array.
  static constexpr std::size_t most = 1024;

  explicit Gathered(std::span<const ConstBuffer> buffers) noexcept
      : count(static_cast<int>(std::min(buffers.size(), most))) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      pieces[i] = {const_cast<std::byte*>(buffers[i].data()), buffers[i].size()};
    }
  }

  // Of all pieces, in bytes.
  std::size_t size() const noexcept {
    return std::accumulate(pieces, pieces + count, std::size_t{0},
                           [](std::size_t sum, const iovec& piece) { return sum + piece.iov_len; });
  }

  iovec pieces[most];
  int count;
};

}  // namespace weir::inline WEIR_ABI::detail
