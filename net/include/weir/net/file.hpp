// File: a descriptor that is no socket and closes itself: a file, or one end of a pipe.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/raw_address.hpp>
#include <weir/fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {
struct FileAccess;
}

// An open file or end of a pipe, closed by its destructor (Python's file objects and os.pipe). Move-only;
// bytes only, there is no text mode. Every call throws std::system_error that names the call when the system
// refuses. Reading and writing a file waits for the disk and belongs on an executor where that may be slow.
// Under sim files are the machine's own, pipes belong to the simulated world.
class WEIR_API File {
 public:
  // No file.
  File() noexcept = default;
  File(File&& other) noexcept : native_(std::exchange(other.native_, invalid_file)) {}
  File& operator=(File&& other) noexcept {
    if (this != &other) {
      close();
      native_ = std::exchange(other.native_, invalid_file);
    }
    return *this;
  }
  ~File() { close(); }

  // Opens a file, close-on-exec (open). Throws std::system_error that names the path, std::invalid_argument
  // for a path with a NUL in it. Opening a named pipe waits for its other end, as everywhere.
  static File open(std::string_view path, FileMode mode = FileMode::read);
  // A new pipe: the end to read from and the end to write to, both non-blocking and close-on-exec (os.pipe).
  static std::pair<File, File> pipe();
  // Takes over a descriptor that was made elsewhere, and makes it close-on-exec. It stays blocking if it was:
  // whoever else has it, as a terminal or standard input, would notice. Throws std::system_error, and then
  // the descriptor is still the caller's.
  static File adopt(native_file native);
  // A second descriptor, close-on-exec, of what `native` stands for (os.dup); position and blocking mode are
  // shared.
  static File duplicate(native_file native);

  // The system's handle, or invalid_file.
  native_file native_handle() const noexcept { return native_; }
  bool is_open() const noexcept { return native_ != invalid_file; }
  // Closes it. Again: nothing.
  void close() noexcept;
  // Gives the descriptor away, open. invalid_file when there is none.
  [[nodiscard]] native_file release() noexcept { return std::exchange(native_, invalid_file); }

  FileKind kind() const;
  // The size of a regular file in bytes (os.fstat).
  std::uint64_t size() const;
  // Where reading and writing goes on, in bytes from the beginning (tell, seek).
  std::uint64_t position() const;
  void set_position(std::uint64_t offset);

  // Reads from `offset` on, wherever the position is, and leaves that alone (os.pread): how many bytes; 0 at
  // the end of the file.
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> into) const;
  // Reads at the position, or from a pipe: how many bytes; 0 at the end (os.read). Fails with
  // std::errc::resource_unavailable_try_again where it would have to wait and is non-blocking.
  std::size_t read(std::span<std::byte> into);
  // Writes: how many bytes were taken (os.write). As read; a pipe that nobody reads from is
  // std::errc::broken_pipe, and no signal.
  std::size_t write(std::span<const std::byte> from);

  // Does reading and writing wait? Changing it changes it for everybody who shares the descriptor
  // (os.get_blocking, os.set_blocking).
  bool is_blocking() const;
  void set_non_blocking(bool non_blocking = true);

 private:
  friend struct detail::FileAccess;
  explicit File(native_file native) noexcept : native_(native) {}
  native_file native_ = invalid_file;
};

}  // namespace weir::inline WEIR_ABI
