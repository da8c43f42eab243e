// The calls to AFD.
#include "backends/iocp/afd.hpp"

#include "backends/host.hpp"
#include "backends/windows/errors.hpp"

#include <cstddef>
#include <iterator>
#include <limits>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr ULONG poll_call = 0x00012024;  // IOCTL_AFD_POLL
#ifndef SIO_BASE_HANDLE
#define SIO_BASE_HANDLE _WSAIOR(IOC_WS2, 34)
#endif

// What the driver is given is all that follows the status.
constexpr std::size_t poll_offset = offsetof(AfdPoll, timeout);
constexpr auto poll_size = static_cast<ULONG>(sizeof(AfdPoll) - poll_offset);
static_assert(sizeof(void*) != 8 || (poll_offset == 16 && poll_size == 32));

}  // namespace

Afd::Afd() {
  wchar_t name[] = L"\\Device\\Afd\\weir";
  UNICODE_STRING text{};
  text.Buffer = name;
  text.Length = static_cast<USHORT>(sizeof name - sizeof(wchar_t));
  text.MaximumLength = static_cast<USHORT>(sizeof name);
  OBJECT_ATTRIBUTES attributes{};
  attributes.Length = sizeof attributes;
  attributes.ObjectName = &text;
  IO_STATUS_BLOCK status{};
  const NTSTATUS error = ::NtCreateFile(&handle_, SYNCHRONIZE, &attributes, &status, nullptr, 0,
                                        FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0, nullptr, 0);
  if (error != 0) {
    throw std::system_error(static_cast<int>(-negated_status(error)), os_category(),
                            "NtCreateFile \\Device\\Afd");
  }
}

Afd::~Afd() { ::CloseHandle(handle_); }

std::int64_t Afd::base_of(native_socket native, HANDLE& base) noexcept {
  DWORD size = 0;
  return ::WSAIoctl(native, SIO_BASE_HANDLE, nullptr, 0, &base, sizeof base, &size, nullptr, nullptr) != 0
             ? last_socket_error()
             : 0;
}

std::int64_t Afd::begin(AfdPoll& poll, HANDLE base, AfdEvents events) noexcept {
  poll.status.Status = static_cast<NTSTATUS>(STATUS_PENDING);
  poll.timeout.QuadPart = std::numeric_limits<LONGLONG>::max();
  poll.count = 1;
  poll.exclusive = 0;
  poll.socket = {base, events | afd_local_close, 0};
  // The event's place carries what the packet's lpOverlapped is: the status block itself.
  const NTSTATUS status =
      ::NtDeviceIoControlFile(handle_, nullptr, nullptr, &poll.status, &poll.status, poll_call, &poll.timeout,
                              poll_size, &poll.timeout, poll_size);
  return status == 0 || status == static_cast<NTSTATUS>(STATUS_PENDING) ? 0 : negated_status(status);
}

void Afd::cancel(AfdPoll& poll) noexcept {
  ::CancelIoEx(handle_, reinterpret_cast<OVERLAPPED*>(&poll.status));
}

}  // namespace weir::inline WEIR_ABI::detail
