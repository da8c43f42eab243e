// FilePart: what of a file a sendfile() sends, and how far it is. FileHold: the transport while it does.
#pragma once

#include "runtime/loop_access.hpp"

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

// Holds the writing side of a transport, and reading back, as long as it lives.
template <class T>
class FileHold {
 public:
  explicit FileHold(T& transport) : transport_(transport), reads_again_(transport.is_reading()) {
    transport.begin_file();
    transport.pause_reading();
  }
  FileHold(const FileHold&) = delete;
  FileHold& operator=(const FileHold&) = delete;
  ~FileHold() {
    transport_.end_file();
    if (reads_again_ && !LoopAccess::is_closing(transport_.get_loop())) {
      transport_.resume_reading();
    }
  }

 private:
  T& transport_;
  bool reads_again_;
};

}  // namespace weir::inline WEIR_ABI::detail
