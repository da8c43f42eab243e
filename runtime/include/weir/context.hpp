// Context variables (Python's contextvars): values that follow a task or callback instead of a thread. A
// context costs nothing while no variable was set in it.
#pragma once

#include <weir/config.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace weir::inline WEIR_ABI {

template <class T>
class ContextVar;

namespace detail {

// A value in a context. Values never change once stored; copying for another thread clones them.
class WEIR_API ContextValue {
 public:
  ContextValue() = default;
  ContextValue(const ContextValue&) = delete;
  ContextValue& operator=(const ContextValue&) = delete;
  virtual ~ContextValue();
  virtual std::unique_ptr<ContextValue> clone() const = 0;
};

template <class T>
class TypedContextValue final : public ContextValue {
 public:
  explicit TypedContextValue(T v) : value(std::move(v)) {}
  std::unique_ptr<ContextValue> clone() const override { return std::make_unique<TypedContextValue>(value); }
  const T value;
};

class ContextState;  // the variables of one context

// What the hot path looks at: how many there are.
struct ContextHead {
  std::uint32_t references = 1;
  std::uint32_t count = 0;
};
struct ContextAccess;
WEIR_API std::uint64_t new_context_key() noexcept;

}  // namespace detail

// A set of variables with their values (contextvars.Context). A Context is a handle: copies share one set of
// variables, as Python names do; copy() makes an independent one in constant time. Used on one thread at a
// time; use cross_thread_copy() for another.
class WEIR_API Context {
 public:
  // An empty context.
  Context() noexcept = default;
  // Another handle of the same variables.
  Context(const Context& other);
  Context(Context&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Context& operator=(Context other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Context() {
    if (state_ != nullptr) {
      release();
    }
  }

  // An independent copy (Context.copy()).
  Context copy() const;
  // An independent copy whose values are cloned too, safe to hand to another thread.
  Context cross_thread_copy() const;
  // The number of variables set in it.
  std::size_t size() const noexcept;
  // Calls `f` with this context as the current one (Context.run()): what f sets stays in it. Unlike Python's,
  // it may be entered while it is entered already.
  template <class F>
  decltype(auto) run(F&& f);

  // Are they handles of one set of variables? Equal values in two sets do not make them equal.
  friend bool operator==(const Context& a, const Context& b) noexcept {
    return a.state_ == b.state_ && (a.state_ != nullptr || &a == &b);
  }

 private:
  friend struct detail::ContextAccess;
  friend WEIR_API Context copy_context();

  void release() noexcept;
  void ensure_state() const;

  mutable detail::ContextHead* state_ = nullptr;  // made when it is first needed, so that copies share it
};

// An independent copy of the current context of this thread (contextvars.copy_context()).
WEIR_API Context copy_context();

namespace detail {

// The context that code on this thread sees and changes now; never null once current_context() has been
// called.
#if defined(_WIN32)
WEIR_API Context*& current_context_slot() noexcept;
#else
extern WEIR_API constinit thread_local Context* current_context_pointer;
inline Context*& current_context_slot() noexcept { return current_context_pointer; }
#endif
WEIR_API Context& current_context() noexcept;

struct WEIR_API ContextAccess {
  // Has it no variable, so that a copy would be no different from a new context?
  static bool empty(const Context& context) noexcept {
    return context.state_ == nullptr || context.state_->count == 0;
  }
  // Has nobody else a handle of its variables, because there is nothing to have one of?
  static bool is_fresh(const Context& context) noexcept { return context.state_ == nullptr; }
  static const ContextValue* find(const Context& context, std::uint64_t key) noexcept;
  static void set(const Context& context, std::uint64_t key, std::shared_ptr<const ContextValue> value);
  static std::shared_ptr<const ContextValue> get_shared(const Context& context, std::uint64_t key) noexcept;
};

// Makes a context the current one of this thread until the end of the scope.
class ContextScope {
 public:
  explicit ContextScope(Context& context) noexcept
      : previous_(std::exchange(current_context_slot(), &context)) {}
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;
  ~ContextScope() { current_context_slot() = previous_; }

 private:
  Context* previous_;
};

}  // namespace detail

template <class F>
decltype(auto) Context::run(F&& f) {
  ensure_state();
  Context self = *this;
  detail::ContextScope scope(self);
  return std::forward<F>(f)();
}

// A variable that may be set in a context (contextvars.ContextVar). T must be copyable. Make it once, at
// namespace scope; it is immutable and may be used from any thread.
template <class T>
class ContextVar {
 public:
  // What reset() takes: the value before a set(). Moving from it uses it up.
  class Token {
   public:
    Token(Token&& other) noexcept
        : variable_(std::exchange(other.variable_, nullptr)), old_(std::move(other.old_)) {}
    Token& operator=(Token&& other) noexcept {
      variable_ = std::exchange(other.variable_, nullptr);
      old_ = std::move(other.old_);
      return *this;
    }

   private:
    friend class ContextVar;
    Token(const ContextVar* variable, std::shared_ptr<const detail::ContextValue> old)
        : variable_(variable), old_(std::move(old)) {}
    const ContextVar* variable_;  // null once it was used
    std::shared_ptr<const detail::ContextValue> old_;
  };

  explicit ContextVar(std::string_view name) : name_(name), key_(detail::new_context_key()) {}
  ContextVar(std::string_view name, T default_value)
      : name_(name), default_(std::move(default_value)), key_(detail::new_context_key()) {}
  ContextVar(const ContextVar&) = delete;
  ContextVar& operator=(const ContextVar&) = delete;

  const std::string& name() const noexcept { return name_; }

  // The value in the current context, else the default. Throws std::out_of_range (Python: LookupError) when
  // there is neither.
  T get() const {
    if (const T* value = find(detail::current_context())) {
      return *value;
    }
    if (default_) {
      return *default_;
    }
    throw std::out_of_range("ContextVar '" + name_ + "' has no value in this context");
  }
  // The value in the current context, else `fallback`.
  T get(T fallback) const {
    const T* value = find(detail::current_context());
    return value != nullptr ? *value : std::move(fallback);
  }
  // The value in a given context, if it is set there.
  std::optional<T> get_in(const Context& context) const {
    const T* value = find(context);
    return value != nullptr ? std::optional<T>(*value) : std::nullopt;
  }
  // Sets it in the current context. The token undoes that by reset().
  Token set(T value) const {
    Context& context = detail::current_context();
    Token token(this, detail::ContextAccess::get_shared(context, key_));
    detail::ContextAccess::set(context, key_,
                               std::make_shared<const detail::TypedContextValue<T>>(std::move(value)));
    return token;
  }
  // Puts back what a set() replaced. Throws std::invalid_argument when the token is another variable's or was
  // used before. It is put back in the context that is current now, be it another than that of the set().
  void reset(Token token) const {
    if (token.variable_ != this) {
      throw std::invalid_argument(
          "ContextVar::reset: the token was used before, or made by another variable "
          "than '" +
          name_ + "'");
    }
    detail::ContextAccess::set(detail::current_context(), key_, std::move(token.old_));
  }

 private:
  const T* find(const Context& context) const noexcept {
    const detail::ContextValue* value = detail::ContextAccess::find(context, key_);
    return value != nullptr ? &static_cast<const detail::TypedContextValue<T>*>(value)->value : nullptr;
  }

  std::string name_;
  std::optional<T> default_;
  std::uint64_t key_;
};

}  // namespace weir::inline WEIR_ABI
