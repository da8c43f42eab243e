// An application's event_base as the host of a poller: one event of weir's own in it, by which turns are
// called.
#pragma once

#include "backends/libevent/poller.hpp"

namespace weir::inline WEIR_ABI::detail {

class LibeventHost {
 public:
  using Turn = void (*)(void* object) noexcept;

  // Moves what the poller watches to `base`. `turn` is called with `object` by the base's loop when something
  // was collected, a wake came, or the time of schedule() has come. Throws std::system_error, std::bad_alloc;
  // the poller is as before then.
  LibeventHost(LibeventPoller& poller, event_base* base, Turn turn, void* object);
  LibeventHost(const LibeventHost&) = delete;
  LibeventHost& operator=(const LibeventHost&) = delete;
  // Moves it back. Not inside `turn`.
  ~LibeventHost();

  // When to call `turn` next: TimePoint::min() in the next round of the base's loop, TimePoint::max() only
  // when something comes.
  void schedule(TimePoint when) noexcept;
  // Ends the dispatch that runs, behind the present callback.
  void end_dispatch() noexcept;

 private:
  static void on_turn(int, short, void* host) noexcept;

  LibeventPoller& poller_;
  event_base* base_;
  Turn turn_;
  void* object_;
  LibeventEvent event_;
};

}  // namespace weir::inline WEIR_ABI::detail
