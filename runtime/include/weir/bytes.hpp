// Bytes: an owning, movable block of memory, weir's form of Python's bytes where a call gives data away.
#pragma once

#include <weir/config.hpp>

#include <compare>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace weir::inline WEIR_ABI {

// Unlike std::vector it does not clear memory that is about to be filled. Not thread-safe.
class WEIR_API Bytes {
 public:
  Bytes() noexcept = default;
  // `size` bytes of undefined content. Throws std::bad_alloc.
  explicit Bytes(std::size_t size);
  // A copy.
  explicit Bytes(std::span<const std::byte> data);
  explicit Bytes(std::string_view text);
  Bytes(const Bytes& other) : Bytes(other.span()) {}
  Bytes(Bytes&& other) noexcept : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Bytes& operator=(Bytes other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Bytes() = default;

  std::byte* data() noexcept { return data_.get(); }
  const std::byte* data() const noexcept { return data_.get(); }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  // Shortens it to `size` bytes, which must not be more than it has; the memory stays.
  void truncate(std::size_t size) noexcept { size_ = size < size_ ? size : size_; }

  std::span<std::byte> span() noexcept { return {data_.get(), size_}; }
  std::span<const std::byte> span() const noexcept { return {data_.get(), size_}; }
  std::string_view view() const noexcept { return {reinterpret_cast<const char*>(data_.get()), size_}; }
  std::string str() const { return std::string(view()); }
  operator std::span<const std::byte>() const noexcept { return span(); }

  friend bool operator==(const Bytes& a, const Bytes& b) noexcept { return a.view() == b.view(); }
  friend bool operator==(const Bytes& a, std::string_view b) noexcept { return a.view() == b; }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
};

// The bytes of a text, and the text of some bytes; both only look.
inline std::span<const std::byte> as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(std::span<const std::byte> data) noexcept {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

}  // namespace weir::inline WEIR_ABI
