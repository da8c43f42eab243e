// Files and pipes of Windows.
#include "backends/windows/files.hpp"

#include "backends/windows/errors.hpp"
#include "backends/windows/sockets.hpp"
#include "backends/windows/text.hpp"
#include "backends/windows/winsock.hpp"

#include <winternl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <optional>
#include <string>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr DWORD shared_by_all = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
constexpr DWORD pipe_buffer = 64 * 1024;

HANDLE handle_of(native_file native) noexcept { return reinterpret_cast<HANDLE>(native); }
native_file native_of(HANDLE handle) noexcept { return reinterpret_cast<native_file>(handle); }

// How a mode is asked for.
struct Request {
  DWORD access;
  DWORD disposition;
  DWORD flags;
};

Request request_of(FileMode mode) noexcept {
  switch (mode) {
    case FileMode::read:
      return {GENERIC_READ, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS};  // the flag: a folder may be opened
    case FileMode::write:
      return {GENERIC_WRITE, OPEN_ALWAYS, 0};
    case FileMode::append:
      // Without the right to write elsewhere, every write goes to the end.
      return {FILE_GENERIC_WRITE & ~static_cast<DWORD>(FILE_WRITE_DATA), OPEN_ALWAYS, 0};
    case FileMode::read_write:
      break;
  }
  return {GENERIC_READ | GENERIC_WRITE, OPEN_ALWAYS, 0};
}

// Windows says of a folder that is to be written that access is denied.
std::int64_t open_error(const wchar_t* path) noexcept {
  const std::int64_t error = last_error();
  if (error == -EACCES) {
    const DWORD attributes = ::GetFileAttributesW(path);
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
      return -EISDIR;
    }
  }
  return error;
}

bool is_on_disk(native_file native) noexcept { return ::GetFileType(handle_of(native)) == FILE_TYPE_DISK; }

// A socket looks like a pipe until Winsock is asked.
bool is_socket(native_file native) noexcept {
  if (::GetFileType(handle_of(native)) != FILE_TYPE_PIPE) {
    return false;
  }
  start_winsock();
  int type = 0;
  int size = sizeof type;
  return ::getsockopt(native, SOL_SOCKET, SO_TYPE, reinterpret_cast<char*>(&type), &size) == 0;
}

bool is_offset(std::uint64_t offset) noexcept {
  return offset <= static_cast<std::uint64_t>(std::numeric_limits<LONGLONG>::max());
}

// What ReadFile and WriteFile take at once.
DWORD count_of(std::size_t size) noexcept {
  return static_cast<DWORD>(std::min<std::size_t>(size, std::numeric_limits<int>::max()));
}

// What the end of reading looks like, and what is no error in others' eyes either.
std::int64_t read_error(DWORD error) noexcept {
  switch (error) {
    case ERROR_HANDLE_EOF:
    case ERROR_BROKEN_PIPE:
    case ERROR_PIPE_NOT_CONNECTED:
      return 0;
    case ERROR_NO_DATA:  // of a pipe that does not wait
      return -EAGAIN;
    case ERROR_ACCESS_DENIED:  // open, but not for this
      return -EBADF;
    default:
      return negated_error(error);
  }
}

std::int64_t write_error(DWORD error) noexcept {
  return error == ERROR_ACCESS_DENIED ? -EBADF : negated_error(error);
}

// One overlapped operation at a time of this thread, which ends before the next begins. The low bit of the
// event keeps the completion from the port that the handle may belong to.
class OneOperation {
 public:
  OneOperation() noexcept : event_(::CreateEventW(nullptr, TRUE, FALSE, nullptr)) {}
  OneOperation(const OneOperation&) = delete;
  OneOperation& operator=(const OneOperation&) = delete;
  ~OneOperation() {
    if (event_ != nullptr) {
      ::CloseHandle(event_);
    }
  }

  bool can_begin() const noexcept { return event_ != nullptr; }
  OVERLAPPED* begin() noexcept {
    overlapped_ = {};
    overlapped_.hEvent = reinterpret_cast<HANDLE>(reinterpret_cast<std::uintptr_t>(event_) | 1);
    return &overlapped_;
  }
  // Its end, which does not wait for anything but the system's answer to the cancelling: NO_ERROR, or what it
  // failed with; ERROR_OPERATION_ABORTED when it would have had to wait.
  DWORD finish(HANDLE handle, BOOL succeeded, DWORD& moved) noexcept {
    if (const DWORD error = succeeded != FALSE ? NO_ERROR : ::GetLastError(); error == ERROR_IO_PENDING) {
      ::CancelIoEx(handle, &overlapped_);
    } else if (error != NO_ERROR && error != ERROR_MORE_DATA) {
      return error;
    }
    const BOOL done = ::GetOverlappedResult(handle, &overlapped_, &moved, TRUE);
    const DWORD error = done != FALSE ? NO_ERROR : ::GetLastError();
    return error == ERROR_MORE_DATA ? NO_ERROR : error;  // the rest of a message is read next
  }

 private:
  HANDLE event_;
  OVERLAPPED overlapped_{};
};

OneOperation& operation_of_this_thread() noexcept {
  thread_local OneOperation operation;
  return operation;
}

std::int64_t read_from_device(native_file native, std::span<std::byte> into) noexcept {
  OneOperation& operation = operation_of_this_thread();
  if (!operation.can_begin()) {
    return -ENOMEM;
  }
  HANDLE handle = handle_of(native);
  DWORD moved = 0;
  const BOOL succeeded = ::ReadFile(handle, into.data(), count_of(into.size()), nullptr, operation.begin());
  const DWORD error = operation.finish(handle, succeeded, moved);
  if (error == NO_ERROR) {
    return moved;
  }
  return error == ERROR_OPERATION_ABORTED ? -EAGAIN : read_error(error);
}

std::int64_t write_to_device(native_file native, ConstBuffer from) noexcept {
  OneOperation& operation = operation_of_this_thread();
  if (!operation.can_begin()) {
    return -ENOMEM;
  }
  HANDLE handle = handle_of(native);
  DWORD moved = 0;
  const BOOL succeeded = ::WriteFile(handle, from.data(), count_of(from.size()), nullptr, operation.begin());
  const DWORD error = operation.finish(handle, succeeded, moved);
  if (error == NO_ERROR) {
    return moved == 0 && !from.empty() ? -EAGAIN : static_cast<std::int64_t>(moved);
  }
  return error == ERROR_OPERATION_ABORTED ? -EAGAIN : write_error(error);
}

// The same for one that is a folder.
std::int64_t disk_read_error(native_file native) noexcept {
  const std::int64_t error = read_error(::GetLastError());
  const bool may_be_folder = error == -ENOTSUP || error == -EINVAL;
  const auto folder = static_cast<std::int64_t>(FileKind::directory);
  return may_be_folder && WindowsFiles::kind(native) == folder ? -EISDIR : error;
}

// FILE_PIPE_LOCAL_INFORMATION and FILE_MODE_INFORMATION, which the headers of programs lack.
struct PipeInformation {
  ULONG type, configuration, most_instances, instances, inbound_quota, readable, outbound_quota, writable,
      state, end;
};
constexpr auto file_mode_information = static_cast<FILE_INFORMATION_CLASS>(16);
constexpr auto file_pipe_local_information = static_cast<FILE_INFORMATION_CLASS>(24);

template <class Information>
bool query(native_file native, FILE_INFORMATION_CLASS which, Information& out) noexcept {
  IO_STATUS_BLOCK status{};
  return ::NtQueryInformationFile(handle_of(native), &status, &out, sizeof out, which) >= 0;
}

// Does the system wait in a call on this handle until it is done?
bool is_synchronous(native_file native) noexcept {
  constexpr ULONG synchronous = 0x10 | 0x20;  // FILE_SYNCHRONOUS_IO_ALERT, FILE_SYNCHRONOUS_IO_NONALERT
  ULONG mode = 0;
  return query(native, file_mode_information, mode) && (mode & synchronous) != 0;
}

bool is_waiting_pipe(native_file native) noexcept {
  DWORD state = 0;
  return ::GetNamedPipeHandleStateW(handle_of(native), &state, nullptr, nullptr, nullptr, nullptr, 0) != 0 &&
         (state & PIPE_NOWAIT) == 0;
}

// A name that nobody had before in this session.
std::wstring new_pipe_name() {
  static std::atomic<unsigned long> last{0};
  LARGE_INTEGER ticks{};
  ::QueryPerformanceCounter(&ticks);
  return L"\\\\.\\pipe\\weir." + std::to_wstring(::GetCurrentProcessId()) + L"." +
         std::to_wstring(last.fetch_add(1, std::memory_order_relaxed)) + L"." +
         std::to_wstring(ticks.QuadPart);
}

// How each end is opened.
struct EndFlags {
  DWORD read = FILE_FLAG_OVERLAPPED;
  DWORD write = FILE_FLAG_OVERLAPPED;
};

std::int64_t open_pipe_called(const std::wstring& name, native_file (&ends)[2], EndFlags flags) noexcept {
  // There is no second instance. Both ends may read, because that is how the writing one finds out that
  // nobody reads any more.
  HANDLE read_end =
      ::CreateNamedPipeW(name.c_str(), PIPE_ACCESS_DUPLEX | FILE_FLAG_FIRST_PIPE_INSTANCE | flags.read,
                         PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1,
                         pipe_buffer, pipe_buffer, 0, nullptr);
  if (read_end == INVALID_HANDLE_VALUE) {
    return last_error();
  }
  HANDLE write_end = ::CreateFileW(name.c_str(), GENERIC_READ | GENERIC_WRITE, 0, nullptr, OPEN_EXISTING,
                                   flags.write, nullptr);
  if (write_end == INVALID_HANDLE_VALUE) {
    const std::int64_t error = last_error();
    ::CloseHandle(read_end);
    return error;
  }
  ends[0] = native_of(read_end);
  ends[1] = native_of(write_end);
  return 0;
}

// How much a pipe takes without waiting; nothing when the system does not say.
std::optional<std::size_t> room_of(native_file native) noexcept {
  PipeInformation pipe{};
  return query(native, file_pipe_local_information, pipe) ? std::optional<std::size_t>(pipe.writable)
                                                          : std::nullopt;
}

// Wine says 0 of every pipe.
bool tells_room() noexcept {
  static const bool tells = [] {
    native_file ends[2] = {invalid_file, invalid_file};
    if (WindowsFiles::open_pipe(ends) < 0) {
      return true;
    }
    const std::optional<std::size_t> room = room_of(ends[1]);
    WindowsFiles::close(ends[0]);
    WindowsFiles::close(ends[1]);
    return room.has_value() && *room != 0;
  }();
  return tells;
}

// Writes as much as there is room for. More is not tried where the room is known, because a write that is
// cancelled half read does not tell how much of it was. No room is also what a pipe says whose reader waits
// with memory of its own: one byte is either taken or not. Where the room is not known, it is searched for; a
// reader in another process that reads in just these moments could see bytes twice.
std::int64_t write_what_fits(native_file native, ConstBuffer from) noexcept {
  if (tells_room()) {
    const std::size_t most = std::max<std::size_t>(room_of(native).value_or(from.size()), 1);
    return write_to_device(native, from.first(std::min(from.size(), most)));
  }
  std::int64_t result = -EAGAIN;
  std::size_t size = std::min<std::size_t>(from.size(), pipe_buffer);
  do {
    result = write_to_device(native, from.first(size));
    size /= 16;
  } while (result == -EAGAIN && size != 0);
  return result;
}

}  // namespace

std::int64_t WindowsFiles::open(const char* path, FileMode mode) noexcept {
  std::wstring wide;
  if (const std::int64_t error = to_wide(path, wide); error < 0) {
    return error;
  }
  const Request request = request_of(mode);
  HANDLE handle = ::CreateFileW(wide.c_str(), request.access, shared_by_all, nullptr, request.disposition,
                                FILE_ATTRIBUTE_NORMAL | request.flags, nullptr);
  if (handle == INVALID_HANDLE_VALUE) {
    return open_error(wide.c_str());
  }
  // Not CREATE_ALWAYS, which refuses hidden files and makes what it empties a file with other attributes.
  if (mode == FileMode::write && is_on_disk(native_of(handle)) && ::SetEndOfFile(handle) == FALSE) {
    const std::int64_t error = last_error();
    ::CloseHandle(handle);
    return error;
  }
  return static_cast<std::int64_t>(native_of(handle));
}

std::int64_t WindowsFiles::open_pipe(native_file (&ends)[2]) noexcept {
  try {
    return open_pipe_called(new_pipe_name(), ends, {});
  } catch (...) {
    return -ENOMEM;
  }
}

std::int64_t WindowsFiles::open_pipe_to_child(native_file (&ends)[2], Direction of_child) noexcept {
  EndFlags flags;
  (of_child == Direction::read ? flags.read : flags.write) = 0;
  try {
    return open_pipe_called(new_pipe_name(), ends, flags);
  } catch (...) {
    return -ENOMEM;
  }
}

std::int64_t WindowsFiles::close(native_file native) noexcept {
  if (native == invalid_file) {
    return -EBADF;
  }
  if (is_socket(native)) {
    return ::closesocket(native) == 0 ? 0 : last_socket_error();
  }
  return ::CloseHandle(handle_of(native)) != FALSE ? 0 : last_error();
}

std::int64_t WindowsFiles::adopt(native_file native) noexcept {
  if (native == invalid_file) {
    return -EBADF;
  }
  return ::SetHandleInformation(handle_of(native), HANDLE_FLAG_INHERIT, 0) != FALSE ? 0 : last_error();
}

std::int64_t WindowsFiles::duplicate(native_file native) noexcept {
  if (native == invalid_file) {  // the number that stands for this process
    return -EBADF;
  }
  if (is_socket(native)) {
    WSAPROTOCOL_INFOW how{};
    if (::WSADuplicateSocketW(native, ::GetCurrentProcessId(), &how) != 0) {
      return last_socket_error();
    }
    const SOCKET copy = ::WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &how, 0,
                                     WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    return copy != INVALID_SOCKET ? static_cast<std::int64_t>(copy) : last_socket_error();
  }
  HANDLE process = ::GetCurrentProcess();
  HANDLE copy = nullptr;
  if (::DuplicateHandle(process, handle_of(native), process, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS) ==
      FALSE) {
    return last_error();
  }
  return static_cast<std::int64_t>(native_of(copy));
}

std::int64_t WindowsFiles::kind(native_file native) noexcept {
  if (native == invalid_file) {
    return -EBADF;
  }
  ::SetLastError(NO_ERROR);
  auto kind = FileKind::other;
  switch (::GetFileType(handle_of(native))) {
    case FILE_TYPE_DISK: {
      BY_HANDLE_FILE_INFORMATION about{};
      const bool is_folder = ::GetFileInformationByHandle(handle_of(native), &about) != FALSE &&
                             (about.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
      kind = is_folder ? FileKind::directory : FileKind::regular;
      break;
    }
    case FILE_TYPE_CHAR:
      kind = FileKind::character_device;
      break;
    case FILE_TYPE_PIPE:
      kind = is_socket(native) ? FileKind::socket : FileKind::pipe;
      break;
    default:
      if (::GetLastError() != NO_ERROR) {
        return last_error();
      }
      break;
  }
  return static_cast<std::int64_t>(kind);
}

std::int64_t WindowsFiles::size(native_file native) noexcept {
  LARGE_INTEGER size{};
  return ::GetFileSizeEx(handle_of(native), &size) != FALSE ? size.QuadPart : last_error();
}

std::int64_t WindowsFiles::position(native_file native) noexcept {
  const std::int64_t what = kind(native);
  if (what < 0) {
    return what;
  }
  LARGE_INTEGER position{};
  if (!is_on_disk(native)) {
    return -ESPIPE;
  }
  return ::SetFilePointerEx(handle_of(native), {}, &position, FILE_CURRENT) != FALSE ? position.QuadPart
                                                                                     : last_error();
}

std::int64_t WindowsFiles::set_position(native_file native, std::uint64_t offset) noexcept {
  if (!is_offset(offset)) {
    return -EINVAL;
  }
  const std::int64_t what = kind(native);
  if (what < 0 || !is_on_disk(native)) {
    return what < 0 ? what : -ESPIPE;
  }
  LARGE_INTEGER wanted{};
  wanted.QuadPart = static_cast<LONGLONG>(offset);
  return ::SetFilePointerEx(handle_of(native), wanted, nullptr, FILE_BEGIN) != FALSE ? 0 : last_error();
}

std::int64_t WindowsFiles::read_at(native_file native, std::uint64_t offset,
                                   std::span<std::byte> into) noexcept {
  if (!is_offset(offset)) {
    return -EINVAL;
  }
  const std::int64_t before = position(native);
  if (before < 0) {
    return before;
  }
  OVERLAPPED where{};
  where.Offset = static_cast<DWORD>(offset);
  where.OffsetHigh = static_cast<DWORD>(offset >> 32);
  DWORD moved = 0;
  const bool is_read =
      ::ReadFile(handle_of(native), into.data(), count_of(into.size()), &moved, &where) != FALSE;
  const std::int64_t result = is_read ? static_cast<std::int64_t>(moved) : disk_read_error(native);
  set_position(native, static_cast<std::uint64_t>(before));
  return result;
}

std::int64_t WindowsFiles::read(native_file native, std::span<std::byte> into) noexcept {
  if (is_on_disk(native)) {
    DWORD moved = 0;
    const bool is_read =
        ::ReadFile(handle_of(native), into.data(), count_of(into.size()), &moved, nullptr) != FALSE;
    return is_read ? static_cast<std::int64_t>(moved) : disk_read_error(native);
  }
  for (;;) {
    const std::int64_t result = read_from_device(native, into);
    // Somebody wrote nothing to a pipe, which is not its end.
    const bool is_nothing =
        result == 0 && !into.empty() &&
        ::PeekNamedPipe(handle_of(native), nullptr, 0, nullptr, nullptr, nullptr) != FALSE;
    if (!is_nothing) {
      return result;
    }
  }
}

std::int64_t WindowsFiles::write(native_file native, ConstBuffer from) noexcept {
  if (is_on_disk(native)) {
    DWORD moved = 0;
    const bool is_written =
        ::WriteFile(handle_of(native), from.data(), count_of(from.size()), &moved, nullptr) != FALSE;
    return is_written ? static_cast<std::int64_t>(moved) : write_error(::GetLastError());
  }
  const bool may_wait = is_blocking(native) != 0 || is_socket(native);
  return may_wait ? write_to_device(native, from) : write_what_fits(native, from);
}

std::int64_t WindowsFiles::is_blocking(native_file native) noexcept {
  const std::int64_t what = kind(native);
  if (what < 0) {
    return what;
  }
  return is_on_disk(native) || (is_synchronous(native) &&
                                (static_cast<FileKind>(what) != FileKind::pipe || is_waiting_pipe(native)));
}

std::int64_t WindowsFiles::set_non_blocking(native_file native, bool non_blocking) noexcept {
  const std::int64_t is_now = is_blocking(native);
  if (is_now < 0 || (is_now == 0) == non_blocking) {
    return is_now < 0 ? is_now : 0;
  }
  if (kind(native) != static_cast<std::int64_t>(FileKind::pipe) || !is_synchronous(native)) {
    return -ENOTSUP;
  }
  DWORD wanted = PIPE_READMODE_BYTE | static_cast<DWORD>(non_blocking ? PIPE_NOWAIT : PIPE_WAIT);
  return ::SetNamedPipeHandleState(handle_of(native), &wanted, nullptr, nullptr) != FALSE ? 0 : last_error();
}

}  // namespace weir::inline WEIR_ABI::detail
