// What epoll does otherwise than other pollers.
#include "tests/contract/connected.hpp"

#include <unistd.h>
#include <cstdlib>

using namespace contract;

TEST_CASE("epoll: a regular file is refused as the system refuses it") {
  Loop loop;
  char name[] = "/tmp/weir_epoll_test_XXXXXX";
  const int file = ::mkstemp(name);
  REQUIRE(file >= 0);
  ::unlink(name);
  Watching reader(Direction::read);
  CHECK(loop.backend.watch(file, reader) == -EPERM);
  CHECK(reader.handle == nullptr);
  CHECK(loop.backend.find(file) == nullptr);
  ::close(file);
}
