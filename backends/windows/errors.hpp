// What Windows calls its errors, as the negated errno of the seam to a backend: Winsock's codes, those of the
// system, and the status of an operation that has ended.
#pragma once

#include <weir/config.hpp>

#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

// A code of WSAGetLastError() or GetLastError(), which share one range; never 0. What is not known is -EIO.
std::int64_t negated_error(unsigned long code) noexcept;
// An NTSTATUS, which must be a failure.
std::int64_t negated_status(std::int32_t status) noexcept;
// Of the last call of this thread.
std::int64_t last_socket_error() noexcept;
// The same of a call with this socket: -EBADF when there is nothing any more under its number.
std::int64_t last_socket_error(std::uintptr_t native) noexcept;
std::int64_t last_error() noexcept;

}  // namespace weir::inline WEIR_ABI::detail
