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
class ContextState : public ContextHead {
 public:
  std::shared_ptr<const Variables> variables;  // null while there are none
};

namespace {
ContextState& full(ContextHead* head) noexcept { return *static_cast<ContextState*>(head); }
}  // namespace

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
  if (empty(context)) {
    return nullptr;
  }
  const Variables& variables = *full(context.state_).variables;
  const auto at = position(variables, key);
  return at != variables.end() && at->key == key ? at->value.get() : nullptr;
}

std::shared_ptr<const ContextValue> ContextAccess::get_shared(const Context& context,
                                                              std::uint64_t key) noexcept {
  if (empty(context)) {
    return nullptr;
  }
  const Variables& variables = *full(context.state_).variables;
  const auto at = position(variables, key);
  return at != variables.end() && at->key == key ? at->value : nullptr;
}

void ContextAccess::set(const Context& context, std::uint64_t key,
                        std::shared_ptr<const ContextValue> value) {
  context.ensure_state();
  ContextState& state = full(context.state_);
  auto changed =
      state.count == 0 ? std::make_shared<Variables>() : std::make_shared<Variables>(*state.variables);
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
  state.count = static_cast<std::uint32_t>(changed->size());
  state.variables = std::move(changed);
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
    delete &detail::full(state_);
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
  if (!detail::ContextAccess::empty(*this)) {
    result.ensure_state();
    result.state_->count = state_->count;
    detail::full(result.state_).variables = detail::full(state_).variables;
  }
  return result;
}

Context Context::cross_thread_copy() const {
  Context result;
  if (!detail::ContextAccess::empty(*this)) {
    result.ensure_state();
    auto cloned = std::make_shared<detail::Variables>();
    cloned->reserve(state_->count);
    for (const detail::Variable& variable : *detail::full(state_).variables) {
      cloned->push_back({variable.key, variable.value->clone()});
    }
    result.state_->count = state_->count;
    detail::full(result.state_).variables = std::move(cloned);
  }
  return result;
}

std::size_t Context::size() const noexcept { return state_ == nullptr ? 0 : state_->count; }

Context copy_context() {
  const Context* current = detail::current_context_slot();
  return current == nullptr ? Context() : current->copy();
}

}  // namespace weir::inline WEIR_ABI
