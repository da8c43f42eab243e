// The files that bound Unix sockets leave, on Windows: reparse points of their own kind.
#include "backends/windows/errors.hpp"
#include "backends/windows/sockets.hpp"
#include "backends/windows/text.hpp"
#include "backends/windows/winsock.hpp"

#include <cerrno>
#include <string>

namespace weir::inline WEIR_ABI::detail {

namespace {

#ifndef IO_REPARSE_TAG_AF_UNIX
#define IO_REPARSE_TAG_AF_UNIX 0x80000023L
#endif

}  // namespace

std::int64_t WindowsSockets::socket_file(const RawAddress& address, FileIdentity& out) noexcept {
  std::wstring path;
  if (const std::int64_t error = to_wide(address.path_view(), path); error < 0) {
    return error;
  }
  const HANDLE file =
      ::CreateFileW(path.c_str(), 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                    OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS, nullptr);
  if (file == INVALID_HANDLE_VALUE) {
    return last_error();
  }
  BY_HANDLE_FILE_INFORMATION information{};
  FILE_ATTRIBUTE_TAG_INFO tag{};
  const bool is_known = ::GetFileInformationByHandle(file, &information) != 0 &&
                        ::GetFileInformationByHandleEx(file, FileAttributeTagInfo, &tag, sizeof tag) != 0;
  const std::int64_t error = is_known ? 0 : last_error();
  ::CloseHandle(file);
  out = {information.dwVolumeSerialNumber,
         static_cast<std::uint64_t>(information.nFileIndexHigh) << 32 | information.nFileIndexLow};
  const bool is_socket = (tag.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0 &&
                         tag.ReparseTag == static_cast<DWORD>(IO_REPARSE_TAG_AF_UNIX);
  return error < 0 ? error : is_socket ? 0 : -ENOTSOCK;
}

std::int64_t WindowsSockets::remove_file(const RawAddress& address) noexcept {
  std::wstring path;
  const std::int64_t error = to_wide(address.path_view(), path);
  return error < 0 ? error : ::DeleteFileW(path.c_str()) == 0 ? last_error() : 0;
}

}  // namespace weir::inline WEIR_ABI::detail
