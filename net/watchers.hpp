// WatchTable: the callbacks of add_reader and add_writer, by descriptor.
#pragma once

#include <weir/context.hpp>
#include <weir/detail/callback.hpp>
#include <weir/detail/op.hpp>
#include <weir/event_loop.hpp>
#include <weir/ref.hpp>

#include <array>
#include <cstddef>
#include <unordered_map>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// One callback. Counted, because it may be removed or replaced while it runs.
class Watcher final : public RefCounted, private Watch {
 public:
  Watcher(EventLoop& loop, Direction which, Callback callback, Context context) noexcept;

  // 0 or a negated errno.
  std::int64_t begin(native_socket descriptor);
  // It is not called again.
  void end() noexcept;
  // Not so when the socket was closed under it.
  bool is_watching() const noexcept { return handle != nullptr; }

 private:
  ~Watcher() override = default;
  static void ready(Watch& watch) noexcept;

  EventLoop* loop_;
  Callback callback_;
  Context context_;
};

class WatchTable {
 public:
  Ref<Watcher>& at(native_socket descriptor, Direction which) {
    return watchers_[descriptor][static_cast<std::size_t>(which)];
  }
  // Ends a watcher; false when there is none.
  bool remove(native_socket descriptor, Direction which) noexcept;

 private:
  std::unordered_map<native_socket, std::array<Ref<Watcher>, 2>> watchers_;
};

}  // namespace weir::inline WEIR_ABI::detail
