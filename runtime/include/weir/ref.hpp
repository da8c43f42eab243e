// Ref<T>: a counted reference to an object shared with the loop. The count lies in the object and is not
// atomic: references are made and dropped on the loop's thread.
#pragma once

#include <weir/config.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI {

// Base of what a Ref points to: transports, protocols, servers. Destroyed when the last Ref goes.
class WEIR_API RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void add_ref() const noexcept { ++references_; }
  void release() const noexcept {
    if (--references_ == 0) {
      destroy();
    }
  }

 protected:
  virtual ~RefCounted();

 private:
  // Not here: an analyzer that sees the deletion takes any reference for the last one.
  void destroy() const noexcept;

  mutable std::uint32_t references_ = 0;
};

// The reference. Null when default-made; comparing compares identity.
template <class T>
class Ref {
 public:
  Ref() noexcept = default;
  Ref(std::nullptr_t) noexcept {}
  // Shares the object; `object` may be null.
  explicit Ref(T* object) noexcept : object_(object) { retain(); }
  Ref(const Ref& other) noexcept : object_(other.object_) { retain(); }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
    requires std::convertible_to<U*, T*>
  Ref(const Ref<U>& other) noexcept : object_(other.get()) {
    retain();
  }
  template <class U>
    requires std::convertible_to<U*, T*>
  Ref(Ref<U>&& other) noexcept : object_(other.detach()) {}
  ~Ref() { drop(); }

  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }

  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  void reset() noexcept { Ref().swap(*this); }
  void swap(Ref& other) noexcept { std::swap(object_, other.object_); }
  // Gives the reference up without dropping it.
  [[nodiscard]] T* detach() noexcept { return std::exchange(object_, nullptr); }
  // Takes over a reference that detach() gave up.
  static Ref adopt(T* object) noexcept {
    Ref ref;
    ref.object_ = object;
    return ref;
  }

  friend bool operator==(const Ref& a, const Ref& b) noexcept { return a.object_ == b.object_; }
  friend bool operator==(const Ref& a, std::nullptr_t) noexcept { return a.object_ == nullptr; }

 private:
  void retain() const noexcept {
    if (object_ != nullptr) {
      object_->add_ref();
    }
  }
  void drop() noexcept {
    if (object_ != nullptr) {
      object_->release();
    }
  }

  T* object_ = nullptr;
};

// Makes an object and the first reference to it.
template <class T, class... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

}  // namespace weir::inline WEIR_ABI
