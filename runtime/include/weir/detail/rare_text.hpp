// A text that is seldom there, in one word: futures and tasks are many, their messages and names few.
#pragma once

#include <weir/config.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

class RareText {
 public:
  // Throws std::bad_alloc, unless the text is empty.
  RareText& operator=(std::string_view text) {
    text_ = text.empty() ? nullptr : std::make_unique<std::string>(text);
    return *this;
  }
  bool empty() const noexcept { return text_ == nullptr; }
  std::string_view view() const noexcept {
    return text_ != nullptr ? std::string_view(*text_) : std::string_view();
  }
  std::string str() const { return std::string(view()); }

 private:
  std::unique_ptr<std::string> text_;  // null: empty
};

}  // namespace weir::inline WEIR_ABI::detail
