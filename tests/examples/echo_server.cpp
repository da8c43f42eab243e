// The TCP echo server as a program: echo_server [PORT], 8888 unless told, until Ctrl-C.
#include "tests/examples/echo_server.hpp"

#include <cstdlib>

int main(int argc, char** argv) {
  const int port = argc > 1 ? std::atoi(argv[1]) : 8888;
  try {
    weir::run(run_echo_server(static_cast<std::uint16_t>(port)));
  } catch (const weir::KeyboardInterrupt&) {
    return 130;
  }
}
