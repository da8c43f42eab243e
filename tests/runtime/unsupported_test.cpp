// POL-006: what a backend or this build lacks. Links all of weir: the operations that may be lacking are
// net/'s.
#include "tests/support/system.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/weir.hpp>

#include <string>

using namespace weir;
using namespace weir::testing;

namespace {

std::string missing_capability(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const NotSupportedError& error) {
    const std::string what = error.what();
    CHECK(what.find(error.capability()) != std::string::npos);
    CHECK(what.find(WEIR_BACKEND_NAME) != std::string::npos);
    return error.capability();
  }
}

template <class F>
std::exception_ptr thrown_by(F&& function) {
  try {
    function();
  } catch (...) {
    return std::current_exception();
  }
  FAIL("nothing was thrown");
  return nullptr;
}

Coro<void> listen_by_name(EventLoop& loop) {
  const ServerOptions options{.host = "printer.local", .port = 0};
  co_await loop.create_server([] { return make_ref<Protocol>(); }, options);
}

}  // namespace

TEST_CASE("POL-006 the error names the call, the backend and the capability") {
  const NotSupportedError error("some_call", "teleport");
  CHECK(error.capability() == "teleport");
  const std::string what = error.what();
  CHECK(what.find("some_call") != std::string::npos);
  CHECK(what.find("teleport") != std::string::npos);
  CHECK(what.find(WEIR_BACKEND_NAME) != std::string::npos);
}

TEST_CASE_FIXTURE(LoopFixture, "POL-006 a call that needs what this build lacks") {
  CHECK(missing_capability(thrown_by([&] { loop.run_until_complete(listen_by_name(loop)); })) ==
        "multicast_dns");
}

TEST_CASE_FIXTURE(LoopFixture, "POL-006 a call that needs what this backend lacks") {
  const MachinePipe pipe;
  if (has("native_descriptors")) {
    // The same call is accepted where the capability is there.
    loop.add_reader(pipe.ends[0], [] {});
    CHECK(loop.remove_reader(pipe.ends[0]));
  } else {
    CHECK(missing_capability(thrown_by([&] { loop.add_reader(pipe.ends[0], [] {}); })) ==
          "native_descriptors");
    CHECK(missing_capability(thrown_by([&] { loop.add_writer(pipe.ends[1], [] {}); })) ==
          "native_descriptors");
    CHECK_FALSE(loop.remove_reader(pipe.ends[0]));  // nothing of it stays
  }
}
