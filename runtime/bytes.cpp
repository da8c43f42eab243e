// Bytes: the allocating half.
#include <weir/bytes.hpp>

namespace weir::inline WEIR_ABI {

Bytes::Bytes(std::size_t size)
    : data_(size != 0 ? std::make_unique_for_overwrite<std::byte[]>(size) : nullptr), size_(size) {}

Bytes::Bytes(std::span<const std::byte> data) : Bytes(data.size()) {
  if (!data.empty()) {
    std::memcpy(data_.get(), data.data(), data.size());
  }
}

Bytes::Bytes(std::string_view text) : Bytes(as_bytes(text)) {}

}  // namespace weir::inline WEIR_ABI
