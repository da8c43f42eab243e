// The one table of Windows' errors. libstdc++'s own category knows hardly any of them.
#include "backends/windows/errors.hpp"

#include "backends/windows/winsock.hpp"

#include <weir/config.hpp>

#include <winternl.h>
#include <algorithm>
#include <cerrno>
#include <iterator>

namespace weir::inline WEIR_ABI::detail {

namespace {

struct Known {
  unsigned long code;
  int error;
};

constexpr Known known[] = {
    // The system's, in the order of their numbers.
    {ERROR_INVALID_FUNCTION, ENOTSUP},
    {ERROR_FILE_NOT_FOUND, ENOENT},
    {ERROR_PATH_NOT_FOUND, ENOENT},
    {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
    {ERROR_ACCESS_DENIED, EACCES},
    {ERROR_INVALID_HANDLE, EBADF},
    {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
    {ERROR_OUTOFMEMORY, ENOMEM},
    {ERROR_WRITE_PROTECT, EROFS},
    {ERROR_SHARING_VIOLATION, EACCES},
    {ERROR_LOCK_VIOLATION, EACCES},
    {ERROR_NOT_SUPPORTED, ENOTSUP},
    {ERROR_NETNAME_DELETED, ECONNRESET},
    {ERROR_FILE_EXISTS, EEXIST},
    {ERROR_INVALID_PARAMETER, EINVAL},
    {ERROR_BROKEN_PIPE, EPIPE},
    {ERROR_DISK_FULL, ENOSPC},
    {ERROR_SEM_TIMEOUT, ETIMEDOUT},
    {ERROR_INSUFFICIENT_BUFFER, EMSGSIZE},
    {ERROR_INVALID_NAME, ENOENT},
    {ERROR_SEEK_ON_DEVICE, ESPIPE},
    {ERROR_DIR_NOT_EMPTY, ENOTEMPTY},
    {ERROR_ALREADY_EXISTS, EEXIST},
    {ERROR_BAD_EXE_FORMAT, ENOEXEC},
    {ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG},
    {ERROR_EXE_MACHINE_TYPE_MISMATCH, ENOEXEC},
    {ERROR_PIPE_BUSY, EBUSY},
    {ERROR_NO_DATA, EPIPE},
    {ERROR_PIPE_NOT_CONNECTED, EPIPE},
    {ERROR_MORE_DATA, EMSGSIZE},
    {ERROR_DIRECTORY, ENOTDIR},
    {740, EACCES},  // ERROR_ELEVATION_REQUIRED, which the headers of mingw lack
    {ERROR_OPERATION_ABORTED, ECANCELED},
    {ERROR_NOACCESS, EFAULT},
    {ERROR_CONNECTION_REFUSED, ECONNREFUSED},
    {ERROR_GRACEFUL_DISCONNECT, ECONNRESET},
    {ERROR_ADDRESS_ALREADY_ASSOCIATED, EADDRINUSE},
    {ERROR_CONNECTION_INVALID, ENOTCONN},
    {ERROR_NETWORK_UNREACHABLE, ENETUNREACH},
    {ERROR_HOST_UNREACHABLE, EHOSTUNREACH},
    {ERROR_PROTOCOL_UNREACHABLE, ENOPROTOOPT},
    {ERROR_PORT_UNREACHABLE, ECONNREFUSED},
    {ERROR_CONNECTION_ABORTED, ECONNABORTED},
    {ERROR_PRIVILEGE_NOT_HELD, EPERM},
    {ERROR_NO_SYSTEM_RESOURCES, ENOBUFS},
    {ERROR_TIMEOUT, ETIMEDOUT},
    // Winsock's, in the order of their numbers.
    {WSAEINTR, EINTR},
    {WSAEBADF, EBADF},
    {WSAEACCES, EACCES},
    {WSAEFAULT, EFAULT},
    {WSAEINVAL, EINVAL},
    {WSAEMFILE, EMFILE},
    {WSAEWOULDBLOCK, EAGAIN},
    {WSAEINPROGRESS, EINPROGRESS},
    {WSAEALREADY, EALREADY},
    {WSAENOTSOCK, ENOTSOCK},
    {WSAEDESTADDRREQ, EDESTADDRREQ},
    {WSAEMSGSIZE, EMSGSIZE},
    {WSAEPROTOTYPE, EPROTOTYPE},
    {WSAENOPROTOOPT, ENOPROTOOPT},
    {WSAEPROTONOSUPPORT, EPROTONOSUPPORT},
    {WSAESOCKTNOSUPPORT, EPROTONOSUPPORT},
    {WSAEOPNOTSUPP, EOPNOTSUPP},
    {WSAEPFNOSUPPORT, EAFNOSUPPORT},
    {WSAEAFNOSUPPORT, EAFNOSUPPORT},
    {WSAEADDRINUSE, EADDRINUSE},
    {WSAEADDRNOTAVAIL, EADDRNOTAVAIL},
    {WSAENETDOWN, ENETDOWN},
    {WSAENETUNREACH, ENETUNREACH},
    {WSAENETRESET, ENETRESET},
    {WSAECONNABORTED, ECONNABORTED},
    {WSAECONNRESET, ECONNRESET},
    {WSAENOBUFS, ENOBUFS},
    {WSAEISCONN, EISCONN},
    {WSAENOTCONN, ENOTCONN},
    {WSAESHUTDOWN, EPIPE},
    {WSAETIMEDOUT, ETIMEDOUT},
    {WSAECONNREFUSED, ECONNREFUSED},
    {WSAELOOP, ELOOP},
    {WSAENAMETOOLONG, ENAMETOOLONG},
    {WSAEHOSTDOWN, EHOSTUNREACH},
    {WSAEHOSTUNREACH, EHOSTUNREACH},
    {WSAENOTEMPTY, ENOTEMPTY},
    {WSASYSNOTREADY, ENETDOWN},
    {WSANOTINITIALISED, ENETDOWN},
    {WSAEDISCON, ECONNRESET},
};
static_assert(std::is_sorted(std::begin(known), std::end(known),
                             [](const Known& one, const Known& other) { return one.code < other.code; }));

}  // namespace

std::int64_t negated_error(unsigned long code) noexcept {
  const Known* const found =
      std::lower_bound(std::begin(known), std::end(known), code,
                       [](const Known& one, unsigned long wanted) { return one.code < wanted; });
  return found != std::end(known) && found->code == code ? -found->error : -EIO;
}

std::int64_t negated_status(std::int32_t status) noexcept {
  return negated_error(::RtlNtStatusToDosError(status));
}

std::int64_t last_socket_error() noexcept {
  return negated_error(static_cast<unsigned long>(::WSAGetLastError()));
}
std::int64_t last_socket_error(std::uintptr_t native) noexcept {
  const std::int64_t error = last_socket_error();
  DWORD flags = 0;
  const HANDLE handle = reinterpret_cast<HANDLE>(native);
  // What no socket has for a number, stands for this process elsewhere.
  const bool is_gone =
      error == -ENOTSOCK && (handle == INVALID_HANDLE_VALUE || ::GetHandleInformation(handle, &flags) == 0);
  return is_gone ? -EBADF : error;
}

std::int64_t last_error() noexcept { return negated_error(::GetLastError()); }

}  // namespace weir::inline WEIR_ABI::detail
