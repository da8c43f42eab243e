// The exception types' key functions, and texts made of exceptions and types.
#include <weir/detail/callback.hpp>
#include <weir/exceptions.hpp>
#include <weir/ref.hpp>

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <utility>

namespace weir::inline WEIR_ABI {

// The destructors are here so that each type has its run-time type information in one place, weir's own.
BaseException::~BaseException() = default;
CancelledError::~CancelledError() = default;
KeyboardInterrupt::~KeyboardInterrupt() = default;
GeneratorExit::~GeneratorExit() = default;
RuntimeError::~RuntimeError() = default;
InvalidStateError::~InvalidStateError() = default;
TimeoutError::~TimeoutError() = default;
BrokenBarrierError::~BrokenBarrierError() = default;
QueueEmpty::~QueueEmpty() = default;
QueueFull::~QueueFull() = default;
QueueShutDown::~QueueShutDown() = default;
NotSupportedError::~NotSupportedError() = default;
ExceptionGroup::~ExceptionGroup() = default;
RefCounted::~RefCounted() = default;
void RefCounted::destroy() const noexcept { delete this; }

NotSupportedError::NotSupportedError(std::string_view call, std::string_view capability)
    : std::runtime_error(std::string(call) + ": the backend " WEIR_BACKEND_NAME " lacks the capability '" +
                         std::string(capability) + "'"),
      capability_(capability) {}

NotSupportedError::NotSupportedError(std::string_view call)
    : std::runtime_error(std::string(call) + ": not supported by an object of this kind") {}

ExceptionGroup::ExceptionGroup(const std::string& message, std::vector<std::exception_ptr> exceptions)
    : std::runtime_error(message + " (" + std::to_string(exceptions.size()) + " exceptions)"),
      exceptions_(std::move(exceptions)) {}

std::string describe_exception(const std::exception_ptr& exception) {
  if (!exception) {
    return "no exception";
  }
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return detail::type_name(typeid(error)) + ": " + error.what();
  } catch (const BaseException& order) {
    return detail::type_name(typeid(order)) + ": " + order.what();
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return type != nullptr ? "exception of type " + detail::type_name(*type) : "unknown exception";
  }
}

namespace detail {

std::string type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> readable(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  std::string name = status == 0 ? readable.get() : type.name();
  // The inline namespace says which build it is, which no reader of a message asks.
  constexpr std::string_view build = "weir::on_" WEIR_BACKEND_NAME "::";
  for (std::size_t at = name.find(build); at != std::string::npos; at = name.find(build, at)) {
    name.replace(at, build.size(), "weir::");
  }
  return name;
}

}  // namespace detail
}  // namespace weir::inline WEIR_ABI
