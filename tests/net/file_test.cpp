// weir::File: files and the ends of pipes.
#include "tests/net/net_test.hpp"
#include "tests/net/temporary_file.hpp"

#include <array>

using namespace weir;
using namespace weir::testing;

namespace {

template <class F>
std::error_code code_of(F&& f) {
  try {
    (void)f();
  } catch (const std::system_error& error) {
    return error.code();
  }
  return {};
}

std::string text_of(File& file, std::uint64_t offset, std::size_t most) {
  std::string text(most, '\0');
  text.resize(file.read_at(offset, std::as_writable_bytes(std::span(text))));
  return text;
}

// Reads until the end, or until there are `most` bytes.
Coro<std::string> read_pipe(File& end, std::size_t most) {
  std::string text;
  std::array<std::byte, 100> part;
  while (text.size() < most) {
    std::size_t count = 0;
    const std::error_code error = code_of([&] { return count = end.read(part); });
    if (error == std::errc::resource_unavailable_try_again) {
      co_await sleep(Duration(1000));
      continue;
    }
    REQUIRE(!error);
    if (count == 0) {
      break;
    }
    text += as_text(std::span(part).first(count));
  }
  co_return text;
}

}  // namespace

TEST_CASE("FILE a file is opened, read anywhere and written") {
  const TemporaryFile there("0123456789");
  File file = there.open();
  CHECK(file.is_open());
  CHECK(file.kind() == FileKind::regular);
  CHECK(file.size() == 10);
  CHECK(text_of(file, 3, 4) == "3456");
  CHECK(text_of(file, 8, 4) == "89");
  CHECK(text_of(file, 10, 4) == "");
  CHECK(file.position() == 0);
  file.set_position(4);
  CHECK(file.position() == 4);
  CHECK(code_of([&] { return file.write(as_bytes("x")); }) == std::errc::bad_file_descriptor);
  File append = there.open(FileMode::append);
  CHECK(append.write(as_bytes("ab")) == 2);
  CHECK(file.size() == 12);
  File both = there.open(FileMode::read_write);
  CHECK(both.write(as_bytes("AB")) == 2);
  CHECK(text_of(file, 0, 20) == "AB23456789ab");
  CHECK(there.open(FileMode::write).size() == 0);
}

TEST_CASE("FILE errors name the call and the path") {
  try {
    File::open("/nowhere/at/all");
    FAIL("opened");
  } catch (const std::system_error& error) {
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    CHECK(std::string_view(error.what()).find("open /nowhere/at/all") != std::string_view::npos);
  }
  CHECK_THROWS_AS(File::open(std::string_view("/etc\0/passwd", 12)), std::invalid_argument);
  CHECK(File::open("/").kind() == FileKind::directory);
  CHECK(File::open("/dev/null").kind() == FileKind::character_device);
  CHECK(code_of([] { return File().size(); }) == std::errc::bad_file_descriptor);
}

TEST_CASE("FILE it moves, gives away, takes over and duplicates its descriptor") {
  const TemporaryFile there("abc");
  File file = there.open();
  File moved = std::move(file);
  CHECK(!file.is_open());
  File second = File::duplicate(moved.native_handle());
  const native_file given = moved.release();
  CHECK(!moved.is_open());
  {
    File taken = File::adopt(given);
    CHECK(taken.size() == 3);
    CHECK(taken.is_blocking());
  }
  CHECK(code_of([&] { return File::adopt(given); }) == std::errc::bad_file_descriptor);
  CHECK(text_of(second, 0, 3) == "abc");
  second.close();
  second.close();
  CHECK(!second.is_open());
}

WEIR_TEST("FILE a pipe carries bytes one way and ends") {
  auto [reader, writer] = File::pipe();
  CHECK(reader.kind() == FileKind::pipe);
  CHECK(!reader.is_blocking());
  CHECK(!writer.is_blocking());
  std::array<std::byte, 8> some{};
  CHECK(code_of([&] { return reader.read(some); }) == std::errc::resource_unavailable_try_again);
  if (!lacks("net", Trait::one_way_pipes)) {
    CHECK(code_of([&] { return reader.write(some); }) == std::errc::bad_file_descriptor);
    CHECK(code_of([&] { return writer.read(some); }) == std::errc::bad_file_descriptor);
  }
  CHECK(code_of([&] { return reader.position(); }) == std::errc::invalid_seek);
  std::string_view rest = "what is written";
  while (!rest.empty()) {
    rest.remove_prefix(writer.write(as_bytes(rest)));
  }
  CHECK(co_await read_pipe(reader, 15) == "what is written");
  writer.close();
  CHECK(co_await read_pipe(reader, 1) == "");
  (void)loop;
}

WEIR_TEST("FILE a pipe that nobody reads is broken, without a signal") {
  auto [reader, writer] = File::pipe();
  reader.close();
  CHECK(code_of([&] { return writer.write(as_bytes("x")); }) == std::errc::broken_pipe);
  (void)loop;
  co_return;
}
