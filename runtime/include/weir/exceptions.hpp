// The exceptions of weir, named as asyncio names them. Errors of the operating system are std::system_error.
#pragma once

#include <weir/config.hpp>

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline WEIR_ABI {

// The root of what is not an error but an order to end (Python's BaseException beside Exception). It does not
// derive from std::exception, so that `catch (const std::exception&)` around a request does not swallow a
// cancellation.
class WEIR_API BaseException {
 public:
  explicit BaseException(std::string message) : message_(std::move(message)) {}
  virtual ~BaseException();
  BaseException(const BaseException&) = default;
  BaseException& operator=(const BaseException&) = default;

  // The text given when it was made; lives as long as the exception.
  const char* what() const noexcept { return message_.c_str(); }

 private:
  std::string message_;
};

// Thrown at a co_await of a task that was cancelled (asyncio.CancelledError). what() is the message given to
// cancel().
class WEIR_API CancelledError final : public BaseException {
 public:
  explicit CancelledError(std::string message = {}) : BaseException(std::move(message)) {}
  ~CancelledError() override;
};

// Thrown by run() and Runner::run() after SIGINT ended the main task (KeyboardInterrupt).
class WEIR_API KeyboardInterrupt final : public BaseException {
 public:
  KeyboardInterrupt() : BaseException("interrupted by SIGINT") {}
  ~KeyboardInterrupt() override;
};

// Thrown at the co_yield of an asynchronous generator that is closed (GeneratorExit).
class WEIR_API GeneratorExit final : public BaseException {
 public:
  GeneratorExit() : BaseException("asynchronous generator closed") {}
  ~GeneratorExit() override;
};

// Wrong use of an object in its present state (Python's RuntimeError).
class WEIR_API RuntimeError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~RuntimeError() override;
};

// The result of a future was asked for, or set, in the wrong state (asyncio.InvalidStateError).
class WEIR_API InvalidStateError final : public std::logic_error {
 public:
  using std::logic_error::logic_error;
  ~InvalidStateError() override;
};

// A deadline passed (TimeoutError).
class WEIR_API TimeoutError final : public std::runtime_error {
 public:
  explicit TimeoutError(const std::string& message = "timed out") : std::runtime_error(message) {}
  ~TimeoutError() override;
};

// A barrier was aborted, or reset while the task waited at it (asyncio.BrokenBarrierError).
class WEIR_API BrokenBarrierError final : public RuntimeError {
 public:
  using RuntimeError::RuntimeError;
  ~BrokenBarrierError() override;
};

// get_nowait() of an empty queue (asyncio.QueueEmpty).
class WEIR_API QueueEmpty final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~QueueEmpty() override;
};

// put_nowait() to a full queue (asyncio.QueueFull).
class WEIR_API QueueFull final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~QueueFull() override;
};

// The queue takes nothing any more, or gives nothing any more, after shutdown() (asyncio.QueueShutDown).
class WEIR_API QueueShutDown final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~QueueShutDown() override;
};

// The backend, the platform or this build lacks what was asked for, or an object of this kind has no such
// operation (NotImplementedError).
class WEIR_API NotSupportedError final : public std::runtime_error {
 public:
  // `call` needs a capability of the backend, named as `weir info` and the table of backends print it.
  NotSupportedError(std::string_view call, std::string_view capability);
  // `call` is an operation that an object of this kind does not have.
  explicit NotSupportedError(std::string_view call);
  ~NotSupportedError() override;

  // Empty when no backend could help.
  const std::string& capability() const noexcept { return capability_; }

 private:
  std::string capability_;
};

// Several exceptions that happened together (ExceptionGroup), in the order in which they happened.
class WEIR_API ExceptionGroup final : public std::runtime_error {
 public:
  ExceptionGroup(const std::string& message, std::vector<std::exception_ptr> exceptions);
  ~ExceptionGroup() override;

  const std::vector<std::exception_ptr>& exceptions() const noexcept { return exceptions_; }

 private:
  std::vector<std::exception_ptr> exceptions_;
};

// The text of any exception: what() of those that have one, else the name of its type. Null gives "no
// exception".
WEIR_API std::string describe_exception(const std::exception_ptr& exception);

}  // namespace weir::inline WEIR_ABI
