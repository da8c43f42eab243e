// What an exception handler is told about an error that reached the loop (the context dict of asyncio's
// call_exception_handler).
#pragma once

#include <weir/config.hpp>
#include <weir/fwd.hpp>

#include <exception>
#include <functional>
#include <source_location>
#include <string>

namespace weir::inline WEIR_ABI {

// Pointers are null where they do not apply, and valid while the handler runs.
struct ExceptionContext {
  std::string message;
  std::exception_ptr exception;
  std::string handle;  // the callback's description
  TaskBase* task = nullptr;
  FutureBase* future = nullptr;
  BaseTransport* transport = nullptr;
  BaseProtocol* protocol = nullptr;
  std::source_location source_location;  // where the object was created; in debug mode, else empty
  std::string object;                    // a description of what else it is about, such as a server
};

using ExceptionHandler = std::function<void(EventLoop& loop, const ExceptionContext& context)>;

}  // namespace weir::inline WEIR_ABI
