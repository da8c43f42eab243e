// A loop inside the event_base of an application that uses libevent. Only the backend `libevent` has this
// header.
#pragma once

#include <weir/config.hpp>

#include <memory>

struct event_base;

namespace weir::inline WEIR_ABI {

class EventLoop;

// Attaches a loop to an application's event_base: from then on the application's event_base_dispatch() waits
// for weir's descriptors and timers too, and runs weir's callbacks among its own, in its thread. weir never
// waits, and never runs the base. It is a LoopGuest (<weir/guest.hpp>), which says what that means for the
// loop, with the base as its host:
//
//   event_base* base = event_base_new();
//   weir::EventLoop loop;
//   weir::LibeventGuest guest(loop, base);
//   loop.create_task(serve());
//   guest.update();
//   event_base_dispatch(base);
//   guest.rethrow();
//
// While a loop is attached, event_base_dispatch() does not return for want of events. event_base_loopbreak()
// and event_base_loopexit() end it as ever, weir's callbacks may call them, and the next dispatch goes on
// where it was.
//
// All functions are for the thread that attached the loop; the base must be used by that thread alone.
class WEIR_API LibeventGuest {
 public:
  // Attaches `loop`, with all that it waits for, to `host`, which must outlive the attachment and whatever
  // descriptors the loop waits for. Throws RuntimeError when the loop is running, closed or attached already,
  // std::invalid_argument for null, std::system_error when the base refuses a descriptor (one that waits with
  // select() and a number from FD_SETSIZE on), std::bad_alloc.
  LibeventGuest(EventLoop& loop, event_base* host);
  LibeventGuest(const LibeventGuest&) = delete;
  LibeventGuest& operator=(const LibeventGuest&) = delete;
  // detach().
  ~LibeventGuest();

  // Tells that a callback of the application's own, or whoever is not a callback of the loop's, has made
  // something ready: after create_task, call_soon, call_later and the like. Not needed after
  // call_soon_threadsafe, nor inside the loop's callbacks. Does nothing when the loop is not attached.
  void update();
  // Rethrows what left a callback and would have left run_forever(), KeyboardInterrupt or std::system_error.
  // It ended the dispatch, as by event_base_loopbreak(), because no exception may pass through libevent. Does
  // nothing when there was none, or after it was rethrown.
  void rethrow();
  // Did stop() end the last dispatch? The loop's stop() is an event_base_loopbreak() after the turn.
  bool is_stopped() const noexcept;

  // False after detach() or the loop's close(), which detaches it.
  bool is_attached() const noexcept;
  // Takes everything of the loop's out of the base; the loop may be run by itself, or attached again. Inside
  // a callback of the loop's, that turn still ends. Idempotent.
  void detach() noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace weir::inline WEIR_ABI
