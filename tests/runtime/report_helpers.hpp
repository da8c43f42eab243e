// What the tests of reports and logs share.
#pragma once

#include "tests/support/system.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/sim.hpp>

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string>
#include <thread>

namespace weir::testing {

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// "file:line" of the line that is so many below the call.
inline std::string here(unsigned below, std::source_location where = std::source_location::current()) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line() + below);
}

// Work that blocks the loop for this long.
inline void block(Duration duration) {
#if defined(WEIR_BACKEND_SIM)
  sim::advance(duration);
#else
  const TimePoint end = std::chrono::steady_clock::now() + duration;
  while (std::chrono::steady_clock::now() < end) {
  }
#endif
}

// Sends what is written to stderr to a file until text() gives it back.
class CapturedStderr {
 public:
  CapturedStderr() : saved_(::dup(STDERR_FILENO)), file_(std::tmpfile()) {
    REQUIRE(file_ != nullptr);
    std::fflush(stderr);
    ::dup2(::fileno(file_), STDERR_FILENO);
  }
  CapturedStderr(const CapturedStderr&) = delete;
  ~CapturedStderr() { end(); }

  std::string text() {
    end();
    return text_;
  }

 private:
  void end() {
    if (file_ == nullptr) {
      return;
    }
    std::fflush(stderr);
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    std::rewind(file_);
    for (int character = std::fgetc(file_); character != EOF; character = std::fgetc(file_)) {
      text_ += static_cast<char>(character);
    }
    std::fclose(file_);
    file_ = nullptr;
  }

  int saved_;
  std::FILE* file_;
  std::string text_;
};

// An environment variable for as long as this exists; null: unset.
class EnvironmentVariable {
 public:
  EnvironmentVariable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) {
      had_ = true;
      before_ = before;
    }
    set(value);
  }
  EnvironmentVariable(const EnvironmentVariable&) = delete;
  ~EnvironmentVariable() { set(had_ ? before_.c_str() : nullptr); }

  void set(const char* value) { set_environment(name_, value); }

 private:
  const char* name_;
  bool had_ = false;
  std::string before_;
};

}  // namespace weir::testing
