// Texts in JSON.
#pragma once

#include <string>
#include <string_view>

namespace program {

// The text as JSON has it, in quotes. What is no UTF-8 becomes U+FFFD.
std::string json_text(std::string_view text);

}  // namespace program
