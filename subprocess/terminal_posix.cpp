// Terminals of POSIX.
#include "subprocess/terminal.hpp"

#include "net/file_access.hpp"
#include "net/os_error.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>

namespace weir::inline WEIR_ABI::detail {

namespace {

int checked(int result, const char* call, const char* step) {
  if (result < 0) {
    throw os_error(-std::int64_t{errno}, std::string(call) + ": " + step);
  }
  return result;
}

}  // namespace

Terminal open_terminal(TerminalSize size, const char* call) {
  Terminal terminal;
  terminal.of_parent =
      FileAccess::own(checked(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), call, "posix_openpt"));
  const int parent = terminal.of_parent.native_handle();
  terminal.of_parent.set_non_blocking();
  checked(::grantpt(parent), call, "grantpt");
  checked(::unlockpt(parent), call, "unlockpt");
  std::array<char, 128> name{};
  checked(-::ptsname_r(parent, name.data(), name.size()), call, "ptsname");
  terminal.of_child =
      FileAccess::own(checked(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC), call, name.data()));
  const std::int64_t error = set_size(parent, size);
  if (error < 0) {
    throw os_error(error, std::string(call) + ": TIOCSWINSZ");
  }
  return terminal;
}

std::int64_t set_size(native_file terminal, TerminalSize size) noexcept {
  winsize told{};
  told.ws_row = size.rows;
  told.ws_col = size.columns;
  return ::ioctl(terminal, TIOCSWINSZ, &told) < 0 ? -std::int64_t{errno} : 0;
}

}  // namespace weir::inline WEIR_ABI::detail
