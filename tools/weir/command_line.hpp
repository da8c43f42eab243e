// The command line: what may stand there, and its help. Owns the texts that a user reads before anything
// runs.
#pragma once

#include "tools/weir/verbs.hpp"

#include <cstdint>
#include <optional>

namespace program {

enum class Verb : std::uint8_t { echo, discard, relay, serve, connect, ping, resolve, exec, cert, info };

struct CommandLine {
  Verb verb = Verb::info;
  Serving serving;
  EchoApi api = EchoApi::protocol;
  RelayPlan relay;
  ServePlan serve;
  ConnectPlan connect;
  PingPlan ping;
  ResolvePlan resolve;
  ExecPlan exec;
  CertPlan cert;
};

// Gives the command, or, when there is nothing more to do, the exit status: 0 after help, 2 after one line on
// stderr about what is wrong.
struct ParsedLine {
  std::optional<CommandLine> command;
  int exit_status = 0;
};
ParsedLine parse_command_line(int argc, const char* const* argv);

const char* verb_name(Verb verb) noexcept;

}  // namespace program
