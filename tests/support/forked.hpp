// A child of fork() that does its work, tells what was wrong, and leaves. Where processes can be forked.
#pragma once

#include "tests/support/sanitizer.hpp"

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

namespace weir::testing {

// What a child found wrong, line by line.
class Findings {
 public:
  void check(bool well, std::string_view what) {
    if (!well) {
      text += std::string(what) + '\n';
    }
  }
  std::string text;
};

// How a child leaves. A program that looks for leaks would find all that a child does not destroy.
enum class Leaving { at_once, by_exit };
inline constexpr bool may_exit = !under_address_sanitizer;

// The end of a child that has been forked, and the pipe through which it tells.
class Forked {
 public:
  // False in the child. What has been written and not yet sent is not to be sent twice.
  Forked() {
    REQUIRE(::pipe(ends_) == 0);
    std::fflush(nullptr);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    ::close(ends_[is_child() ? 0 : 1]);
    if (is_child()) {
      constexpr unsigned most_seconds = 60;
      ::alarm(most_seconds);  // a child that hangs fails the test
    }
  }
  Forked(const Forked&) = delete;
  Forked& operator=(const Forked&) = delete;
  ~Forked() = default;

  bool is_child() const noexcept { return pid_ == 0; }

  // In the child: does `work(findings)` and leaves.
  template <class Work>
  [[noreturn]] void leave(Work work, Findings findings = {}, Leaving leaving = Leaving::at_once) const {
    try {
      work(findings);
    } catch (const std::exception& error) {
      findings.check(false, std::string("exception: ") + error.what());
    } catch (...) {  // what a failed REQUIRE throws is not to end the parent's test once more
      findings.check(false, "a requirement was not met");
    }
    const std::string& text = findings.text;
    if (::write(ends_[1], text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      ::_exit(2);
    }
    ::close(ends_[1]);
    if (leaving == Leaving::by_exit && may_exit) {
      std::exit(0);
    }
    ::_exit(0);
  }

  // In the parent: waits for the child's end. Empty when nothing was wrong.
  std::string findings() const {
    std::string text;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = ::read(ends_[0], buffer, sizeof buffer)) > 0 || (count < 0 && errno == EINTR)) {
      text.append(buffer, static_cast<std::size_t>(count > 0 ? count : 0));
    }
    ::close(ends_[0]);
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    if (WIFSIGNALED(status)) {
      text += "ended by signal " + std::to_string(WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
      text += "left with " + std::to_string(WEXITSTATUS(status));
    }
    return text;
  }

 private:
  int ends_[2] = {-1, -1};
  int pid_ = -1;
};

// Forks a child that does `work(findings)` and leaves; gives what it found.
template <class Work>
std::string in_child(Work work, Leaving leaving = Leaving::at_once) {
  const Forked forked;
  if (forked.is_child()) {
    forked.leave(work, {}, leaving);
  }
  return forked.findings();
}

}  // namespace weir::testing
