// Datagrams that the system gave in one call with others, and that their stream was stopped before it got
// them: they wait here for the next operation of the handle. Hardly ever there are any.
#pragma once

#include "backends/readiness/fd_state.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class KeptDatagrams {
 public:
  struct Kept {
    std::uint64_t owner;  // the token of its handle
    RawAddress from;
    std::vector<std::byte> data;
  };

  // Throws std::bad_alloc.
  void keep(const BackendHandle& handle, std::span<const std::byte> data, const RawAddress& from) {
    all_.push_back({handle.token(), from, {data.begin(), data.end()}});
  }
  // Has the handle any?
  bool has(const BackendHandle& handle) const noexcept { return !all_.empty() && find(handle) != all_.end(); }
  // Takes out the oldest one of the handle, which must have one.
  Kept take(const BackendHandle& handle) noexcept {
    const auto found = find(handle);
    Kept kept = std::move(*found);
    all_.erase(found);
    return kept;
  }
  void forget(const BackendHandle& handle) noexcept {
    if (!all_.empty()) {
      std::erase_if(all_, [&](const Kept& kept) { return kept.owner == handle.token(); });
    }
  }

 private:
  using All = std::deque<Kept>;
  All::iterator find(const BackendHandle& handle) noexcept {
    return std::find_if(all_.begin(), all_.end(),
                        [&](const Kept& kept) { return kept.owner == handle.token(); });
  }
  All::const_iterator find(const BackendHandle& handle) const noexcept {
    return std::find_if(all_.begin(), all_.end(),
                        [&](const Kept& kept) { return kept.owner == handle.token(); });
  }

  All all_;
};

}  // namespace weir::inline WEIR_ABI::detail
