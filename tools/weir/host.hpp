// What the program asks of the machine besides weir: its terminal, its limits, files below a folder, and new
// files. The only place with headers of the operating system.
#pragma once

#include <weir/net/file.hpp>
#include <weir/subprocess/transport.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace program {

// Does a person read what is written to stderr?
bool stderr_is_terminal() noexcept;
// Does a person type the standard input?
bool stdin_is_terminal() noexcept;

// What the program was started with as its standard input and outputs.
weir::native_file standard_input() noexcept;
weir::native_file standard_output() noexcept;
weir::native_file standard_error() noexcept;

// The size of the terminal of the standard input, if it is one.
std::optional<weir::TerminalSize> terminal_size() noexcept;
// The signal that tells of a new size; 0 where there is none.
int resize_signal() noexcept;
// The signals by which others control a program, and those that are typed.
std::vector<int> control_signals();
std::vector<int> typed_signals();

// The terminal of the standard input, if it is one, gives what is typed as it is, at once and unseen, until
// the destructor.
class RawTerminal {
 public:
  RawTerminal() noexcept;
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal();

 private:
  struct Before;
  std::unique_ptr<Before> before_;
};

// How many descriptors this process may have open, and how many it could ask for; nothing where there is no
// such limit.
struct DescriptorLimit {
  std::uint64_t now;
  std::uint64_t most;
};
std::optional<DescriptorLimit> descriptor_limit() noexcept;

// Asks for as many descriptors as the system gives without privileges: a connection is one. It is no error
// when the system refuses.
void raise_descriptor_limit() noexcept;

// The number of connections that may wait to be accepted by one listening socket, where it is known.
std::optional<std::uint64_t> backlog_limit() noexcept;

// A file that was opened, or why not.
struct Opened {
  std::error_code error = {};
  weir::File file = {};
  bool is_folder = false;
  bool is_regular = false;  // neither folder, nor device, nor pipe
  std::uint64_t size = 0;
  std::chrono::sys_seconds modified = {};
};

// Opens for reading what stands at `path` below a folder. Waits for the disk, but for no pipe's other end.
// std::errc::function_not_supported: the system cannot tell whether a symbolic link leads out of the folder.
Opened open_beneath(const weir::File& folder, const std::string& path) noexcept;
// Opens the file at `path`, wherever symbolic links lead.
Opened open_file(const std::string& path) noexcept;
// For open_beneath. Throws std::system_error when there is no folder at `path`.
weir::File open_folder(const std::string& path);

// Who may read a file that is written: everybody whom the system lets, or its owner alone. Windows knows the
// rights of the folder only.
enum class Readers : bool { all, owner };
// Makes a file with this text. Throws std::system_error with the path, for a file that is there already, too.
void write_new_file(const std::string& path, std::string_view text, Readers readers);

}  // namespace program
