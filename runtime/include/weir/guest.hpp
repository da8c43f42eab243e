// LoopGuest: a loop inside a host's loop, in the host's thread (guest mode): Qt, GTK, a game, any other
// library that will not give its own loop up. The host waits; weir runs when there is something to run.
#pragma once

#include <weir/config.hpp>
#include <weir/event_loop.hpp>
#include <weir/fwd.hpp>

#include <memory>

namespace weir::inline WEIR_ABI {

namespace detail {
struct GuestState;
}  // namespace detail

// Attaches a loop to a host. The host waits until descriptor() is readable or next_deadline() has come, then
// calls run_ready(), for as long as it likes:
//
//   weir::LoopGuest guest(loop);
//   do {
//     pollfd waiting{guest.descriptor(), POLLIN, 0};
//     poll(&waiting, 1, milliseconds_until(guest.next_deadline()));
//   } while (guest.run_ready());
//
// While a loop is attached, run_forever() and run_until_complete() throw RuntimeError. It counts as running
// (is_running, get_running_loop) inside its own callbacks only, which is during run_ready(). Outside of them
// the host may call the loop as any program may before it runs it: create_task, call_soon, transports. After
// such calls it asks next_deadline() again before it waits, or else uses call_soon_threadsafe(), which makes
// the descriptor readable.
//
// All functions are for the thread that attached the loop, and throw RuntimeError in any other; the
// destructor and detach() are for that thread too.
class WEIR_API LoopGuest {
 public:
  // Attaches `loop`, which need not outlive this object. Throws RuntimeError when the loop is running, closed
  // or attached already.
  explicit LoopGuest(EventLoop& loop);
  LoopGuest(const LoopGuest&) = delete;
  LoopGuest& operator=(const LoopGuest&) = delete;
  // detach().
  ~LoopGuest();

  // For the host to wait on, until it is readable; weir's own, so never to be read, written or closed. It is
  // level-triggered and stays the same while the loop is attached. Throws NotSupportedError when the backend
  // lacks `pollable_descriptor`: such a host calls run_ready() from time to time, once a frame. Throws
  // RuntimeError when the loop is not attached.
  native_socket descriptor() const;
  // Until when the host may wait, on the clock of the loop's time(): TimePoint::min() when there is something
  // to run now, TimePoint::max() when nothing but the descriptor can end the wait. To be asked before every
  // wait: timers that are set and cancelled, and whatever was made ready since, move it. Inside run_ready()
  // it is TimePoint::max(). Throws RuntimeError when the loop is not attached.
  TimePoint next_deadline();
  // One turn of the loop without waiting: collects what has happened, runs what is ready and the timers that
  // are due. What these make ready is left for the next call, so that the host gets its turn.
  //
  // True: go on. False: stop() was called, before or by a callback of this turn, and that is over now; the
  // host decides what ends, and may go on as well. An exception that would leave run_forever() leaves here,
  // KeyboardInterrupt or std::system_error, and the loop can go on afterwards. Throws RuntimeError when the
  // loop is not attached or another loop runs in this thread.
  //
  // Inside itself, as when a callback opens a dialog that runs the host's loop, it does nothing and gives
  // true: nothing of weir's runs until that callback has returned.
  bool run_ready();

  // False after detach() or the loop's close(), which detaches it.
  bool is_attached() const noexcept;
  // Ends guest mode; what is ready stays, and the loop may be run, or attached again. Inside run_ready() that
  // call still finishes its turn. Idempotent.
  void detach() noexcept;

 private:
  std::shared_ptr<detail::GuestState> state_;
};

}  // namespace weir::inline WEIR_ABI
