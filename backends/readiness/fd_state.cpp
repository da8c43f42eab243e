// The table of handles.
#include "backends/readiness/fd_state.hpp"

#include <cassert>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

BackendHandle& HandleTable::acquire(native_socket native, void* backend) {
  const std::size_t number = place_of(native);
  if (number >= by_number_.size()) {
    by_number_.resize(number + number / 2 + 16);
  }
  if (free_ == nullptr) {
    grow();
  }
  assert(by_number_[number] == nullptr);
  BackendHandle& handle = *free_;
  free_ = static_cast<BackendHandle*>(handle.backend);
  const std::uint32_t generation = handle.generation;
  const std::uint32_t slot = handle.slot;
  handle = BackendHandle{};
  handle.backend = backend;
  handle.native = native;
  handle.generation = generation;
  handle.slot = slot;
  by_number_[number] = &handle;
  return handle;
}

void HandleTable::retire(BackendHandle& handle) noexcept {
  const std::size_t number = place_of(handle.native);
  if (by_number_[number] == &handle) {
    by_number_[number] = nullptr;
  }
  ++handle.generation;
}

void HandleTable::recycle(BackendHandle& handle) noexcept {
  assert(handle.native != invalid_socket && handle.unanswered == 0);
  handle.native = invalid_socket;
  handle.backend = free_;
  free_ = &handle;
}

BackendHandle* HandleTable::find(native_socket native) noexcept {
  const std::size_t number = place_of(native);
  return native != invalid_socket && number < by_number_.size() ? by_number_[number] : nullptr;
}

void HandleTable::grow() {
  auto slab = std::make_unique<BackendHandle[]>(slab_size);
  slabs_.push_back(std::move(slab));
  for (std::size_t i = slab_size; i-- > 0;) {
    BackendHandle& handle = slabs_.back()[i];
    handle.slot = slots_ + static_cast<std::uint32_t>(i);
    handle.backend = free_;
    free_ = &handle;
  }
  slots_ += slab_size;
}

}  // namespace weir::inline WEIR_ABI::detail
