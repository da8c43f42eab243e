// The files that bound Unix sockets leave, on Windows: reparse points of their own kind.
#include "backends/windows/errors.hpp"
#include "backends/windows/sockets.hpp"
#include "backends/windows/winsock.hpp"

#include <array>
#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

namespace {

#ifndef IO_REPARSE_TAG_AF_UNIX
#define IO_REPARSE_TAG_AF_UNIX 0x80000023L
#endif

// The path of an address in the system's form; it has no more letters than the address bytes.
struct WidePath {
  explicit WidePath(const RawAddress& address) noexcept {
    ::MultiByteToWideChar(CP_UTF8, 0, address.path_view().data(),
                          static_cast<int>(address.path_view().size()), text.data(),
                          static_cast<int>(text.size()) - 1);
  }
  std::array<wchar_t, RawAddress::most_path + 1> text{};
};

}  // namespace

std::int64_t WindowsSockets::socket_file(const RawAddress& address, FileIdentity& out) noexcept {
  const HANDLE file = ::CreateFileW(
      WidePath(address).text.data(), 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
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
  return ::DeleteFileW(WidePath(address).text.data()) == 0 ? last_error() : 0;
}

}  // namespace weir::inline WEIR_ABI::detail
