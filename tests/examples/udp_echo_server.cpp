// The UDP echo server as a program: udp_echo_server [PORT], 9999 unless told, until Ctrl-C.
#include "tests/examples/udp_echo.hpp"

#include <cstdlib>

int main(int argc, char** argv) {
  const int port = argc > 1 ? std::atoi(argv[1]) : 9999;
  try {
    weir::run(run_udp_echo_server(static_cast<std::uint16_t>(port)));
  } catch (const weir::KeyboardInterrupt&) {
    return 130;
  }
}
