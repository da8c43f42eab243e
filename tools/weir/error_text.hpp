// The words for an error that a person reads on stderr.
#pragma once

#include <exception>
#include <string>

namespace program {

// what() alone: the names of C++ types help nobody at a terminal.
std::string error_text(const std::exception_ptr& error);

}  // namespace program
