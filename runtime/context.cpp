// Contexts: copy-on-write sets of variables behind counted handles.
#include <weir/context.hpp>

#include <algorithm>
#include <vector>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {
struct Variable {
  std::uint64_t key;
  std::shared_ptr<const ContextValue> value;
};
using Variables = std::vector<Variable>;  // sorted by key

auto position(const Variables& variables, std::uint64_t key) {
  return std::lower_bound(
      variables.begin(), variables.end(), key,
      [](const Variable& variable, std::uint64_t wanted) { return variable.key < wanted; });
}
}  // namespace

// O(n) to set a variable, constant to copy: programs have few variables and many tasks.
class ContextState {
 public:
  std::uint32_t references = 1;
  std::shared_ptr<const Variables> variables = std::make_shared<Variables>();
};

ContextValue::~ContextValue() = default;

std::uint64_t new_context_key() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

#if defined(_WIN32)
Context*& current_context_slot() noexcept {
  static thread_local Context* current = nullptr;
  return current;
}
#else
constinit thread_local Context* current_context_pointer = nullptr;
#endif

Context& current_context() noexcept {
  Context*& current = current_context_slot();
  if (current == nullptr) {
    static thread_local Context base;
    current = &base;
  }
  return *current;
}

const ContextValue* ContextAccess::find(const Context& context, std::uint64_t key) noexcept {
  if (context.state_ == nullptr) {
    return nullptr;
  }
  const Variables& variables = *context.state_->variables;
  const auto at = position(variables, key);
  return at != variables.end() && at->key == key ? at->value.get() : nullptr;
}

std::shared_ptr<const ContextValue> ContextAccess::get_shared(const Context& context,
                                                              std::uint64_t key) noexcept {
  if (context.state_ == nullptr) {
    return nullptr;
  }
  const Variables& variables = *context.state_->variables;
  const auto at = position(variables, key);
  return at != variables.end() && at->key == key ? at->value : nullptr;
}

void ContextAccess::set(const Context& context, std::uint64_t key,
                        std::shared_ptr<const ContextValue> value) {
  context.ensure_state();
  auto changed = std::make_shared<Variables>(*context.state_->variables);
  const auto at = changed->begin() + (position(*changed, key) - changed->cbegin());
  const bool present = at != changed->end() && at->key == key;
  if (value == nullptr) {
    if (present) {
      changed->erase(at);
    }
  } else if (present) {
    at->value = std::move(value);
  } else {
    changed->insert(at, Variable{key, std::move(value)});
  }
  context.state_->variables = std::move(changed);
}

}  // namespace detail

// An empty one gets its state here, or the two handles would part at the first set().
Context::Context(const Context& other) {
  other.ensure_state();
  state_ = other.state_;
  ++state_->references;
}

void Context::release() noexcept {
  if (--state_->references == 0) {
    delete state_;
  }
  state_ = nullptr;
}

void Context::ensure_state() const {
  if (state_ == nullptr) {
    state_ = new detail::ContextState;
  }
}

Context Context::copy() const {
  Context result;
  if (state_ != nullptr) {
    result.ensure_state();
    result.state_->variables = state_->variables;
  }
  return result;
}

Context Context::cross_thread_copy() const {
  Context result;
  if (state_ != nullptr) {
    result.ensure_state();
    auto cloned = std::make_shared<detail::Variables>();
    cloned->reserve(state_->variables->size());
    for (const detail::Variable& variable : *state_->variables) {
      cloned->push_back({variable.key, variable.value->clone()});
    }
    result.state_->variables = std::move(cloned);
  }
  return result;
}

std::size_t Context::size() const noexcept { return state_ == nullptr ? 0 : state_->variables->size(); }

Context copy_context() {
  const Context* current = detail::current_context_slot();
  return current == nullptr ? Context() : current->copy();
}

}  // namespace weir::inline WEIR_ABI
