// Event loop policies and the current loop (asyncio.get_event_loop and its family).
#pragma once

#include <weir/config.hpp>
#include <weir/event_loop.hpp>
#include <weir/fwd.hpp>

#include <memory>

namespace weir::inline WEIR_ABI {

// Decides which loop is a thread's and how loops are made (AbstractEventLoopPolicy). One object serves every
// thread.
class WEIR_API AbstractEventLoopPolicy {
 public:
  AbstractEventLoopPolicy() = default;
  AbstractEventLoopPolicy(const AbstractEventLoopPolicy&) = delete;
  AbstractEventLoopPolicy& operator=(const AbstractEventLoopPolicy&) = delete;
  virtual ~AbstractEventLoopPolicy();

  // The loop of the calling thread. Throws RuntimeError when there is none.
  virtual EventLoop& get_event_loop() = 0;
  // Makes `loop` the calling thread's; null clears it. The loop is not owned.
  virtual void set_event_loop(EventLoop* loop) = 0;
  // A new loop of the backend chosen at build time.
  virtual std::unique_ptr<EventLoop> new_event_loop() = 0;
};

// One loop a thread, set by set_event_loop (DefaultEventLoopPolicy). It makes none by itself.
class WEIR_API DefaultEventLoopPolicy : public AbstractEventLoopPolicy {
 public:
  ~DefaultEventLoopPolicy() override;
  EventLoop& get_event_loop() override;
  void set_event_loop(EventLoop* loop) override;
  std::unique_ptr<EventLoop> new_event_loop() override;
};

// The loop that runs in this thread. Throws RuntimeError when none does.
WEIR_API EventLoop& get_running_loop();
// The loop that runs in this thread, else the policy's for it. Throws RuntimeError when there is neither.
WEIR_API EventLoop& get_event_loop();
// Sets the thread's loop through the policy; null clears it.
WEIR_API void set_event_loop(EventLoop* loop);
// A new loop, made by the policy.
WEIR_API std::unique_ptr<EventLoop> new_event_loop();

// The policy of the process. Thread-safe; the policy must outlive its use by other threads.
WEIR_API AbstractEventLoopPolicy& get_event_loop_policy();
// Replaces it; null restores the default.
WEIR_API void set_event_loop_policy(std::shared_ptr<AbstractEventLoopPolicy> policy);

}  // namespace weir::inline WEIR_ABI
