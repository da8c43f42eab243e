// What both doors share: counting calls and choosing the one that fails.
#include "tests/drivers/calls.hpp"

#include "tests/drivers/chance.hpp"

#include <cerrno>
#include <cstring>

namespace weir::testing {

namespace {

struct State {
  CallFault fault;
  std::uint64_t count = 0;
  const char* name = nullptr;
  std::size_t errors = 0;
  int error = 0;
  bool active = false;
  Chance chance{1};
};

// Of the thread under test: workers of an executor make calls of their own.
State& state() noexcept {
  static constinit thread_local State instance;
  return instance;
}

}  // namespace

FaultyCalls::FaultyCalls(const CallFault& fault) noexcept {
  state() = {};
  state().fault = fault;
  state().chance = Chance(fault.seed);
  state().active = true;
}

FaultyCalls::~FaultyCalls() { stop(); }

void FaultyCalls::stop() noexcept { state().active = false; }
std::uint64_t FaultyCalls::count() noexcept { return state().count; }
bool FaultyCalls::reached() noexcept { return state().name != nullptr; }
const char* FaultyCalls::name() noexcept { return reached() ? state().name : "nothing"; }
std::size_t FaultyCalls::error_count() noexcept { return state().errors; }
int FaultyCalls::error() noexcept { return state().error; }

std::string FaultyCalls::describe() {
  std::string text = "call " + std::to_string(state().fault.at) + ", " + name();
  if (state().fault.most != 0) {
    return text + ", moves at most " + std::to_string(state().fault.most);
  }
  return text + (state().fault.for_ever ? ", fails for ever: " : ", fails: ") + std::strerror(state().error);
}

int FaultyCalls::ask(const char* name, std::span<const int> errors, std::size_t* most) noexcept {
  State& now = state();
  if (!now.active || (now.fault.data_only && most == nullptr)) {
    return 0;
  }
  if (now.fault.one_in != 0) {
    const std::uint64_t drawn = now.chance.draw(now.fault.one_in * errors.size());
    return drawn < errors.size() ? errors[drawn] : 0;
  }
  const bool again = now.fault.for_ever && now.name != nullptr && std::strcmp(now.name, name) == 0;
  if (now.count++ != now.fault.at && !again) {
    return 0;
  }
  now.name = name;
  now.errors = errors.size();
  if (now.fault.most != 0) {
    if (most != nullptr) {
      *most = now.fault.most;
    }
    return 0;
  }
  now.error = errors[now.fault.error % errors.size()];
  if (now.fault.for_ever && now.error == EINTR && errors.size() > 1) {
    now.error =
        errors[(now.fault.error + 1) % errors.size()];  // no signal interrupts every call that is made
  }
  return now.error;
}

}  // namespace weir::testing
