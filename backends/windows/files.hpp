// Every call on files and pipes that weir makes on Windows, one function a call. Each returns a value >= 0 or
// a negated errno. IsFileApi in backends/backend.hpp says what each means; what Windows has otherwise:
//
// - Paths are UTF-8. A file that weir has open may be renamed and deleted, as on POSIX.
// - Whether a call may wait is decided when a handle is made: those for overlapped operations, as both ends
// of
//   open_pipe(), never wait, and others always do. Only an end of a pipe of the second kind can be changed
//   (CreatePipe's, and what a shell gives): set_non_blocking() answers -ENOTSUP for what it cannot change.
// - A file has one position, which read_at() moves and puts back: no other thread may use the same file's
//   position meanwhile.
#pragma once

#include <weir/detail/op.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::inline WEIR_ABI::detail {

struct WindowsFiles {
  static std::int64_t open(const char* path, FileMode mode) noexcept;
  static std::int64_t open_pipe(native_file (&ends)[2]) noexcept;
  // The same with one end that waits in each call, as a child expects of what it is given: the one to read
  // from, or the one to write to.
  static std::int64_t open_pipe_to_child(native_file (&ends)[2], Direction of_child) noexcept;
  static std::int64_t close(native_file native) noexcept;
  static std::int64_t adopt(native_file native) noexcept;
  static std::int64_t duplicate(native_file native) noexcept;
  static std::int64_t kind(native_file native) noexcept;
  static std::int64_t size(native_file native) noexcept;
  static std::int64_t position(native_file native) noexcept;
  static std::int64_t set_position(native_file native, std::uint64_t offset) noexcept;
  static std::int64_t read_at(native_file native, std::uint64_t offset, std::span<std::byte> into) noexcept;
  static std::int64_t read(native_file native, std::span<std::byte> into) noexcept;
  static std::int64_t write(native_file native, ConstBuffer from) noexcept;
  static std::int64_t is_blocking(native_file native) noexcept;
  static std::int64_t set_non_blocking(native_file native, bool non_blocking) noexcept;
};

}  // namespace weir::inline WEIR_ABI::detail
