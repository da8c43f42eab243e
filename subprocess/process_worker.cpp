// The worker's side of a process pool: the registered functions, and a life of calls and answers.
#include "subprocess/own_process.hpp"
#include "subprocess/process_functions.hpp"
#include "subprocess/process_wire.hpp"

#include <weir/exceptions.hpp>
#include <weir/log.hpp>
#include <weir/net/file.hpp>

#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <system_error>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

// Set before any constructor runs, whatever their order.
constinit const ProcessFunction* first_function = nullptr;

}  // namespace

void ProcessFunctions::add(const ProcessFunction& function) noexcept {
  function.next_ = std::exchange(first_function, &function);
}

void ProcessFunctions::remove(const ProcessFunction& function) noexcept {
  for (const ProcessFunction** link = &first_function; *link != nullptr; link = &(*link)->next_) {
    if (*link == &function) {
      *link = function.next_;
      return;
    }
  }
}

const ProcessFunction* ProcessFunctions::find(std::string_view name) noexcept {
  const ProcessFunction* function = first_function;
  while (function != nullptr && function->name_ != name) {
    function = function->next_;
  }
  return function;
}

std::string ProcessFunctions::trouble() {
  for (const ProcessFunction* function = first_function; function != nullptr; function = function->next_) {
    if (function->name_ == nullptr || *function->name_ == '\0' || function->function_ == nullptr) {
      return "a ProcessFunction has no name or no function";
    }
  }
  for (const ProcessFunction* function = first_function; function != nullptr; function = function->next_) {
    if (find(function->name_) != function) {
      return "two ProcessFunctions are registered as '" + std::string(function->name_) + "'";
    }
  }
  return {};
}

namespace {

// Up to this size an answer is sent by one call; a copy costs less than a second call.
constexpr std::size_t most_copied = std::size_t{64} * 1024;

// The worker's end of the socket, blocking. Throws std::system_error when the pool is gone.
class WorkerEnd {
 public:
  explicit WorkerEnd(File socket) noexcept : socket_(std::move(socket)) {}

  // Fills it; false: the pool has no more for this worker.
  bool receive(std::span<std::byte> into) {
    while (!into.empty()) {
      const std::size_t count = socket_.read(into);
      if (count == 0) {
        return false;
      }
      into = into.subspan(count);
    }
    return true;
  }

  void send(FrameKind kind, std::size_t number, std::span<const std::byte> data) {
    const bool is_small = data.size() <= most_copied;
    Bytes frame(frame_header_size + (is_small ? data.size() : 0));
    put_header(frame.data(), {kind, data.size(), number});
    if (is_small) {
      if (!data.empty()) {
        std::memcpy(frame.data() + frame_header_size, data.data(), data.size());
      }
      data = {};
    }
    write(frame);
    write(data);
  }

 private:
  void write(std::span<const std::byte> from) {
    while (!from.empty()) {
      from = from.subspan(socket_.write(from));
    }
  }

  File socket_;
};

// The text alone, as it was thrown.
std::string text_of_current_exception() {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return describe_exception(std::current_exception());
  }
}

void answer(WorkerEnd& pool, std::size_t number, std::string_view name, std::span<const std::byte> input) {
  FrameKind kind = FrameKind::result;
  Bytes result;
  try {
    const ProcessFunction* const function = ProcessFunctions::find(name);
    if (function == nullptr) {
      throw ProcessJobError("no process function is registered as '" + std::string(name) + "'");
    }
    result = (*function)(input);
    if (result.size() > most_in_a_frame) {
      throw ProcessJobError("the result of '" + std::string(name) + "' has more than 4 GiB");
    }
  } catch (...) {
    kind = FrameKind::error;
    result = Bytes(std::string_view(text_of_current_exception()));
  }
  std::fflush(nullptr);  // what it printed comes before its answer, and is not lost when the worker is killed
  pool.send(kind, number, result);
}

// What main() is to return.
int serve(WorkerEnd pool) {
  if (const std::string trouble = ProcessFunctions::trouble(); !trouble.empty()) {
    pool.send(FrameKind::refusal, 0, as_bytes(trouble));
    return 1;
  }
  pool.send(FrameKind::hello, 0, {});
  for (std::array<std::byte, frame_header_size> head; pool.receive(head);) {
    const std::optional<FrameHeader> header = get_header(head.data());
    if (!header || header->kind != FrameKind::call || header->size < number_size) {
      throw RuntimeError("what came is no call");
    }
    Bytes body(header->size);
    if (!pool.receive(body.span())) {
      break;
    }
    const std::string_view rest = body.view().substr(number_size);
    const std::size_t name_size = get_number(body.data());
    if (name_size > rest.size()) {
      throw RuntimeError("what came is no call");
    }
    answer(pool, header->number, rest.substr(0, name_size), as_bytes(rest.substr(name_size)));
  }
  return 0;
}

// Nothing that the functions start is to take itself for a worker, or to hold the socket.
File take_socket() {
  const char* const value = std::getenv(worker_variable);
  const std::string_view text = value != nullptr ? value : "";
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    throw RuntimeError(std::string(worker_variable) + " is set to no descriptor");
  }
  File socket = File::adopt(static_cast<native_file>(number));
  forget_variable(worker_variable);
  return socket;
}

}  // namespace

}  // namespace detail

ProcessFunction::ProcessFunction(const char* name, Function function) noexcept
    : name_(name), function_(function), next_(nullptr) {
  detail::ProcessFunctions::add(*this);
}
ProcessFunction::~ProcessFunction() { detail::ProcessFunctions::remove(*this); }

bool is_process_worker() noexcept { return std::getenv(detail::worker_variable) != nullptr; }

int run_process_worker() noexcept {
  try {
    std::signal(SIGINT, SIG_IGN);
    detail::WorkerEnd end(detail::take_socket());
    try {
      return detail::serve(std::move(end));
    } catch (const std::system_error&) {
      return 0;  // the pool is gone
    }
  } catch (...) {
    detail::log(LogLevel::error, "process worker: " + describe_exception(std::current_exception()));
    return 1;
  }
}

}  // namespace weir::inline WEIR_ABI
