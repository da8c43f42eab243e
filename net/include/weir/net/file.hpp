// File: an open file, pipe end, device or any other descriptor, closed by its owner's end.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/raw_address.hpp>

#include <utility>

namespace weir::inline WEIR_ABI {

class WEIR_API File {
 public:
  File() noexcept = default;
  File(File&& other) noexcept : native_(std::exchange(other.native_, invalid_socket)) {}
  File& operator=(File&& other) noexcept {
    if (this != &other) {
      close();
      native_ = std::exchange(other.native_, invalid_socket);
    }
    return *this;
  }
  ~File() { close(); }
  // Takes a descriptor over as it is.
  static File adopt(native_socket native) noexcept { return File(native); }

  native_socket native_handle() const noexcept { return native_; }
  bool is_open() const noexcept { return native_ != invalid_socket; }
  void close() noexcept;
  [[nodiscard]] native_socket release() noexcept { return std::exchange(native_, invalid_socket); }

 private:
  explicit File(native_socket native) noexcept : native_(native) {}
  native_socket native_ = invalid_socket;
};

}  // namespace weir::inline WEIR_ABI
