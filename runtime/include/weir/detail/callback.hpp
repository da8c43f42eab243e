// What may be scheduled, and a small move-only holder for it (std::move_only_function is C++23).
#pragma once

#include <weir/config.hpp>
#include <weir/detail/block_pool.hpp>
#include <weir/fwd.hpp>

#include <concepts>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

template <class T>
inline constexpr bool is_coro = false;
template <class T>
inline constexpr bool is_coro<Coro<T>> = true;

// A callable that the loop may call with nothing. One that returns a Coro is refused: calling it would only
// make a coroutine that nobody runs (LOOP-004).
template <class F>
concept Callable = std::invocable<std::decay_t<F>&> && std::constructible_from<std::decay_t<F>, F> &&
                   !is_coro<std::remove_cvref_t<std::invoke_result_t<std::decay_t<F>&>>>;

// Throws std::invalid_argument for an empty std::function, a null function pointer and the like.
template <class F>
void check_not_empty(const F& callable, const char* call) {
  if constexpr (requires { callable == nullptr; }) {
    if (callable == nullptr) {
      throw std::invalid_argument(std::string(call) + ": the callback is empty");
    }
  }
}

// Holds a callable of signature R(Args...): up to three words inside, more in a pooled block.
template <class Signature>
class UniqueFunction;

template <class R, class... Args>
class UniqueFunction<R(Args...)> {
  static constexpr std::size_t inline_size = 3 * sizeof(void*);
  struct Operations {
    R (*call)(void* storage, Args... args);
    void (*move)(void* from, void* to) noexcept;  // null: copy the words
    void (*destroy)(void* storage) noexcept;      // null: nothing to do
    const std::type_info* type;
  };
  template <class F>
  static constexpr bool fits =
      sizeof(F) <= inline_size && alignof(F) <= alignof(void*) && std::is_nothrow_move_constructible_v<F>;

 public:
  UniqueFunction() noexcept = default;
  template <class F>
    requires(!std::same_as<std::decay_t<F>, UniqueFunction> &&
             std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  UniqueFunction(F&& f) {
    using C = std::decay_t<F>;
    if constexpr (fits<C>) {
      ::new (static_cast<void*>(storage_)) C(std::forward<F>(f));
      operations_ = &inline_operations<C>;
    } else {
      C* box = new_block<C>(std::forward<F>(f));
      std::memcpy(storage_, &box, sizeof(C*));
      operations_ = &boxed_operations<C>;
    }
  }
  UniqueFunction(UniqueFunction&& other) noexcept { take(other); }
  UniqueFunction& operator=(UniqueFunction&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~UniqueFunction() { reset(); }

  explicit operator bool() const noexcept { return operations_ != nullptr; }
  R operator()(Args... args) { return operations_->call(storage_, std::forward<Args>(args)...); }
  void reset() noexcept {
    if (const Operations* operations = std::exchange(operations_, nullptr);
        operations != nullptr && operations->destroy != nullptr) {
      operations->destroy(storage_);
    }
  }
  // The type of what it holds, for messages. It must hold something.
  const std::type_info& target_type() const noexcept { return *operations_->type; }

 private:
  template <class C>
  static C* boxed(void* storage) noexcept {
    C* box;
    std::memcpy(&box, storage, sizeof(C*));
    return box;
  }
  template <class C>
  static R call_inline(void* storage, Args... args) {
    return (*static_cast<C*>(storage))(std::forward<Args>(args)...);
  }
  template <class C>
  static void move_inline(void* from, void* to) noexcept {
    ::new (to) C(std::move(*static_cast<C*>(from)));
    static_cast<C*>(from)->~C();
  }
  template <class C>
  static void destroy_inline(void* storage) noexcept {
    static_cast<C*>(storage)->~C();
  }
  template <class C>
  static R call_boxed(void* storage, Args... args) {
    return (*boxed<C>(storage))(std::forward<Args>(args)...);
  }
  template <class C>
  static void destroy_boxed(void* storage) noexcept {
    delete_block(boxed<C>(storage));
  }
  template <class C>
  static constexpr Operations inline_operations = {
      &call_inline<C>, std::is_trivially_copyable_v<C> ? nullptr : &move_inline<C>,
      std::is_trivially_destructible_v<C> ? nullptr : &destroy_inline<C>, &typeid(C)};
  template <class C>
  static constexpr Operations boxed_operations = {&call_boxed<C>, nullptr, &destroy_boxed<C>, &typeid(C)};

  void take(UniqueFunction& other) noexcept {
    operations_ = std::exchange(other.operations_, nullptr);
    if (operations_ == nullptr) {
      return;
    }
    if (operations_->move != nullptr) {
      operations_->move(other.storage_, storage_);
    } else {
      std::memcpy(storage_, other.storage_, inline_size);
    }
  }

  const Operations* operations_ = nullptr;
  alignas(void*) std::byte storage_[inline_size];
};

using Callback = UniqueFunction<void()>;

// A readable form of a mangled type name.
WEIR_API std::string type_name(const std::type_info& type);

}  // namespace weir::inline WEIR_ABI::detail
