// A child that does as it is told, on every system: this test program itself, started again. Its script is a
// list of acts between semicolons, done one after another; then it ends with 0.
//
//   out TEXT, err TEXT   writes the words and the end of a line to its output, to its error output
//   cat, cat-err         copies its input, to its end, to one of them; sink: to nowhere, tee: to both
//   head N               copies N bytes
//   line                 reads a line of its input; nothing more is done when it ends before
//   more N, more-err N   writes N bytes
//   yes, yes-err         writes for ever; where nobody reads it dies as programs do: by SIGPIPE, or with 13
//   close-in, close-out  closes its input, both outputs
//   pid                  writes its number
//   exit N               ends
//   hang                 does nothing for ever
//   leave ACTS…          starts an actor that does the rest of the script, which has the same descriptors,
//   and
//                        goes on behind it: `leave cat, exit 3; exit 0`; commas between its acts
//   args, env, var NAME, cwd   writes what it was started with, a line each
//   from N               reads a line from the descriptor that was passed under this number
//   to N TEXT            writes to it; fails with 9 when it cannot
#pragma once

#include "tests/subprocess/child.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace weir::testing {

// Where this program is.
std::string own_path();
// The arguments for an actor; those behind the script are for `args`.
std::vector<std::string> actor(std::string_view script, const std::vector<std::string>& more);
std::vector<std::string> actor(std::string_view script);

Coro<Child> act(EventLoop& loop, std::string script, SubprocessOptions options);
Coro<Child> act(EventLoop& loop, std::string script);
// Waits for its end: what it wrote to its output, which must be all that it wrote.
Coro<std::string> output_of_act(EventLoop& loop, std::string script, SubprocessOptions options);
Coro<std::string> output_of_act(EventLoop& loop, std::string script);

}  // namespace weir::testing
