// The words for an error.
#include "tools/weir/error_text.hpp"

#include <weir/exceptions.hpp>

namespace program {

std::string error_text(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return weir::describe_exception(std::current_exception());
  }
}

}  // namespace program
