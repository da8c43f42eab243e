// What a machine may have that weir has no capability for: a test that needs it asks, and skips by its name.
#pragma once

#include <string_view>

namespace weir::testing {

enum class Trait {
  number_reuse,        // the number of a closed socket is that of the next one: nobody looks at it any more
  descriptor_numbers,  // a number can be closed under weir, and another file opened by it
  descriptor_limit,    // a number of open descriptors that cannot be passed
  blocking_flag,       // a socket tells whether it blocks
  inherited_sockets,   // a child of fork() holds what its parent had open
  one_way_pipes,       // the ends of a pipe refuse the other direction
  unsendable_files,    // some can be read and yet not be sent by the system
  keep_alive_timing,   // it can be said when a silent connection counts as dead
  bytes_before_reset,  // what came before a reset is still there to be read
  repeated_resets,   // who was told of a reset and sends all the same is told again, and not of a broken pipe
  end_behind_bytes,  // that the other end closed is seen although unread bytes lie before the end
  fork,              // a process can be forked
  chosen_pid,        // the number of the next process can be chosen, which takes privileges
  name_server,       // dnsmasq, the real name server of the tests, can be started
  empty_host_error,  // the system's resolver refuses a host without name
  typed_answers,     // the system's resolver answers for each type of socket, and knows what fits it
  scope_names,       // the system's resolver calls interfaces as its other calls do
  resolv_conf,       // the servers and search domains of the machine are in a file
};

std::string_view trait_name(Trait trait) noexcept;
// Has the machine, or the world of the simulator, this trait?
bool machine_has(Trait trait) noexcept;

}  // namespace weir::testing
