// The UDP echo client as a program: udp_echo_client [PORT], 9999 unless told.
#include "tests/examples/udp_echo.hpp"

#include <cstdlib>

int main(int argc, char** argv) {
  const int port = argc > 1 ? std::atoi(argv[1]) : 9999;
  weir::run(run_udp_echo_client(static_cast<std::uint16_t>(port)));
}
