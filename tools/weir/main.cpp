// The `weir` program: runs the verb that the command line asks for, and turns what it throws into one line
// and an exit status.
#include "tools/weir/command_line.hpp"
#include "tools/weir/error_text.hpp"
#include "tools/weir/host.hpp"

#include <weir/exceptions.hpp>
#include <weir/info.hpp>
#include <weir/runner.hpp>

#include <cstdio>
#include <exception>

namespace {

using program::CommandLine;
using program::Verb;

weir::Coro<int> start(const CommandLine& line) {
  switch (line.verb) {
    case Verb::echo:
      return program::echo(line.serving, line.api);
    case Verb::discard:
      return program::discard(line.serving);
    case Verb::relay:
      return program::relay(line.serving, line.relay);
    case Verb::serve:
      return program::serve(line.serving, line.serve);
    case Verb::connect:
      return program::connect(line.connect);
    case Verb::resolve:
      return program::resolve(line.resolve);
    case Verb::exec:
      return program::exec(line.exec);
    default:
      return program::ping(line.ping);
  }
}

int run(const CommandLine& line) {
  if (line.verb == Verb::info) {
    return program::info();
  }
  if (line.verb == Verb::cert) {
    return program::cert(line.cert);
  }
  // Under the simulator sockets exist inside the process only: nobody could ever connect. Some names are
  // known all the same; and children are refused by themselves.
  if (line.verb != Verb::resolve && line.verb != Verb::exec && !weir::has_capability("real_network")) {
    throw weir::NotSupportedError(program::verb_name(line.verb), "real_network");
  }
  program::raise_descriptor_limit();
  return weir::run(start(line));
}

}  // namespace

int main(int argc, char** argv) {
  const program::ParsedLine parsed = program::parse_command_line(argc, argv);
  if (!parsed.command) {
    return parsed.exit_status;
  }
  try {
    return run(*parsed.command);
  } catch (const weir::KeyboardInterrupt&) {
    return 130;
  } catch (...) {
    std::fprintf(stderr, "weir %s: %s\n", program::verb_name(parsed.command->verb),
                 program::error_text(std::current_exception()).c_str());
    return 1;
  }
}
