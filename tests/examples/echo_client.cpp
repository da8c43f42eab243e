// The TCP echo client as a program: echo_client [PORT], 8888 unless told.
#include "tests/examples/echo_client.hpp"

#include <cstdlib>

int main(int argc, char** argv) {
  const int port = argc > 1 ? std::atoi(argv[1]) : 8888;
  weir::run(run_echo_client(static_cast<std::uint16_t>(port)));
}
