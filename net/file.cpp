// File: the file calls of the backend with exceptions.
#include <weir/net/file.hpp>

#include "backends/chosen.hpp"
#include "net/os_error.hpp"

#include <stdexcept>
#include <string>

namespace weir::inline WEIR_ABI {

namespace {

using Api = detail::Backend::Files;

}  // namespace

File File::open(std::string_view path, FileMode mode) {
  if (path.find('\0') != std::string_view::npos) {
    throw std::invalid_argument("File::open: there is a NUL in the path");
  }
  const std::string text(path);
  const std::int64_t result = Api::open(text.c_str(), mode);
  if (result < 0) {
    throw detail::os_error(result, "open " + text);
  }
  return File(static_cast<native_file>(result));
}

std::pair<File, File> File::pipe() {
  native_file ends[2] = {invalid_file, invalid_file};
  detail::check(Api::open_pipe(ends), "pipe");
  return {File(ends[0]), File(ends[1])};
}

File File::adopt(native_file native) {
  detail::check(Api::adopt(native), "File::adopt");
  return File(native);
}

File File::duplicate(native_file native) {
  return File(static_cast<native_file>(detail::check(Api::duplicate(native), "File::duplicate")));
}

void File::close() noexcept {
  if (native_ != invalid_file) {
    Api::close(std::exchange(native_, invalid_file));
  }
}

FileKind File::kind() const { return static_cast<FileKind>(detail::check(Api::kind(native_), "File::kind")); }

std::uint64_t File::size() const {
  return static_cast<std::uint64_t>(detail::check(Api::size(native_), "File::size"));
}

std::uint64_t File::position() const {
  return static_cast<std::uint64_t>(detail::check(Api::position(native_), "File::position"));
}

void File::set_position(std::uint64_t offset) {
  detail::check(Api::set_position(native_, offset), "File::set_position");
}

std::size_t File::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  return static_cast<std::size_t>(detail::check(Api::read_at(native_, offset, into), "File::read_at"));
}

std::size_t File::read(std::span<std::byte> into) {
  return static_cast<std::size_t>(detail::check(Api::read(native_, into), "File::read"));
}

std::size_t File::write(std::span<const std::byte> from) {
  return static_cast<std::size_t>(detail::check(Api::write(native_, from), "File::write"));
}

bool File::is_blocking() const { return detail::check(Api::is_blocking(native_), "File::is_blocking") != 0; }

void File::set_non_blocking(bool non_blocking) {
  detail::check(Api::set_non_blocking(native_, non_blocking), "File::set_non_blocking");
}

}  // namespace weir::inline WEIR_ABI
