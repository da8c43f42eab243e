// What a program outside weir sees: one dependency, one header.
#include <weir/weir.hpp>

#include <cstdio>

int main() {
  std::printf("weir %s on %s\n", weir::library_version(), weir::backend_name());
  return 0;
}
