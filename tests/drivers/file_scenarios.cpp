// The scenario of files that are sent.
#include "tests/drivers/protocols.hpp"
#include "tests/drivers/scenarios.hpp"

#include <weir/weir.hpp>

#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

namespace weir::testing {

namespace {

// Made before anybody counts calls, and gone at the end of the program.
const class TextFile {
 public:
  TextFile() { std::ofstream(path_, std::ios::binary) << travelling_text; }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;
  ~TextFile() { std::filesystem::remove(path_); }
  File open() const { return File::open(path_.string()); }

 private:
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() /
      ("weir-drivers-" + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()));
} text_file;

Coro<std::string> read_to_end(Stage& stage, Socket& socket) {
  const Guard guard(stage.guards);
  std::string text;
  for (;;) {
    const Bytes piece = co_await stage.loop.sock_recv(socket, 64);
    if (piece.empty()) {
      co_return text;
    }
    text += piece.view();
  }
}

}  // namespace

// sock_sendfile, and sendfile behind what was written.
Coro<std::string> send_files(Stage& stage) {
  const Guard guard(stage.guards);
  File file = text_file.open();
  auto [near, far] = Socket::pair();
  const SendFileOptions first{.count = 3};
  const std::uint64_t head = co_await stage.loop.sock_sendfile(near, file, first);
  auto factory = [&stage] { return make_ref<EchoProtocol>(stage); };
  const std::pair<Ref<Transport>, Ref<EchoProtocol>> made =
      co_await stage.loop.connect_accepted_socket(factory, std::move(near), {});
  std::exception_ptr error;
  std::uint64_t tail = 0;
  try {
    made.first->write("+");
    const SendFileOptions rest{.offset = 3};
    tail = co_await stage.loop.sendfile(made.first, file, rest);
  } catch (...) {
    error = std::current_exception();
  }
  made.first->close();
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  const std::string received = co_await read_to_end(stage, far);
  std::string expected(travelling_text);
  expected.insert(3, "+");
  const bool all = head == 3 && tail + 3 == travelling_text.size() && file.position() == head + tail;
  co_return all&& received == expected ? "file" : "file: " + received;
}

}  // namespace weir::testing
