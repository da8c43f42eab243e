// What the tests of subprocess/ share: a protocol that writes down what a child does, and children to watch.
#pragma once

#include "tests/support/weir_test.hpp"

#include <weir/net/file.hpp>
#include <weir/subprocess/exec.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::testing {

// Writes down every call, and calls the hook of its name if there is one.
class ChildRecorder : public SubprocessProtocol {
 public:
  void connection_made(Ref<SubprocessTransport> made) override;
  void pipe_data_received(int fd, std::span<const std::byte> data) override;
  void pipe_connection_lost(int fd, std::exception_ptr error) override;
  void process_exited() override;
  void connection_lost(std::exception_ptr error) override;
  void pause_writing() override { events.emplace_back("pause"); }
  void resume_writing() override { events.emplace_back("resume"); }

  // How often it has been called so.
  int count(const std::string& event) const;
  // Where it stands among the events; fails the test when it is not there once.
  std::size_t place(const std::string& event) const;

  Ref<SubprocessTransport> transport;
  std::vector<std::string> events;  // made, data1, data2, lost0 …, exited, lost, pause, resume
  std::string output, error_output;
  bool failed = false;  // a pipe or the connection was lost with an error
  std::function<void()> on_made, on_exited, on_lost;
  std::function<void(int, std::span<const std::byte>)> on_data;
};

// One child and its protocol.
struct Child {
  Ref<SubprocessTransport> transport;
  Ref<ChildRecorder> protocol;

  Ref<Transport> input() const { return transport->get_pipe_transport(0); }
  Coro<void> exited() const;
  Coro<void> lost() const;
};

Coro<Child> start(EventLoop& loop, std::vector<std::string> args, SubprocessOptions options);
// The words between the blanks.
Coro<Child> start(EventLoop& loop, std::string_view words, SubprocessOptions options);
Coro<Child> start(EventLoop& loop, std::string_view words);
Coro<Child> shell(EventLoop& loop, std::string command, SubprocessOptions options);
Coro<Child> shell(EventLoop& loop, std::string command);
// Waits for its end: what it wrote to its output, which must be all that it wrote.
Coro<std::string> output_of(EventLoop& loop, std::string command, SubprocessOptions options);
Coro<std::string> output_of(EventLoop& loop, std::string command);

// Has the pipe that this transport reads no room for more?
bool is_full(const Ref<Transport>& pipe);
// A pipe whose end to read from waits in its calls, as a child that gets it expects.
std::pair<File, File> pipe_to_child();
// Has everybody closed the end that is written to, and was all read? The pipe does not block.
bool is_at_end(File& pipe);
// Is there a process with this number, be it a zombie?
bool process_exists(int pid);
// Kills it; false when there is none.
bool kill_process(int pid);
// Has this process a child that nobody has waited for?
bool has_children();

}  // namespace weir::testing
