// A file descriptor that is closed by its owner's end. For descriptors that weir opens for itself; sockets of
// users belong to net/.
#pragma once

#include <weir/config.hpp>

#include <utility>

namespace weir::inline WEIR_ABI::detail {

class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  void reset() noexcept;
  // It is not this process's to close.
  void forget() noexcept { fd_ = -1; }

 private:
  int fd_ = -1;
};

}  // namespace weir::inline WEIR_ABI::detail
