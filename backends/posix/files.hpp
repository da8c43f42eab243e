// Every call on files and pipes that weir makes on POSIX, one function a call. Each returns a value >= 0 or a
// negated errno and retries where a signal interrupted it. IsFileApi in backends/backend.hpp says what each
// means.
#pragma once

#include <weir/detail/op.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::inline WEIR_ABI::detail {

struct PosixFiles {
  static std::int64_t open(const char* path, FileMode mode) noexcept;
  static std::int64_t open_pipe(native_file (&ends)[2]) noexcept;
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
