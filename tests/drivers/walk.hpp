// A random walk over weir's methods: every callback of everything that a walk has made takes a few more
// steps, each a legal call on an object that chance picks. A seed decides; under sim it decides all.
#pragma once

#include "tests/drivers/chance.hpp"
#include "tests/drivers/guards.hpp"

#include <weir/weir.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace weir::testing {

// What travels in every direction: each byte tells its place.
inline std::byte byte_at(std::size_t place) noexcept {
  return static_cast<std::byte>((place * 31 + place / 251) & 0xff);
}
std::string bytes_from(std::size_t place, std::size_t size);

// One side of a connection, as its protocols see it; they may take turns.
struct Stream {
  CallOrder order;
  Ref<Transport> transport;
  Transport* alone = nullptr;  // the same when its reference was dropped: it lives until connection_lost
  std::uint64_t server = 0;    // the number of the server that made it
  std::size_t written = 0;
  std::size_t received = 0;
  bool paused = false;  // pause_reading was called last
  bool closed = false;  // close() or abort(): no data any more
  bool writing_ended = false;
};

// What became of a callback that can be cancelled.
struct Scheduled {
  bool cancelled = false;
  int calls = 0;
  TimePoint when{};
};

// What happened on walks, to see that something did.
struct Seen {
  std::uint64_t connections = 0;
  std::uint64_t bytes = 0;
  std::uint64_t ended = 0;  // connection_lost
  std::uint64_t tasks = 0;
  std::uint64_t callbacks = 0;  // from which the walk went on
};

class Walk {
 public:
  Walk(EventLoop& loop, Guards& guards, std::uint64_t seed, unsigned steps);
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;
  ~Walk();

  // Walks until the steps are used up; then the objects still stand as they are.
  void go();
  // Ends everything in order, and checks that all was told its end.
  void end();

  // Adds what this walk has seen so far.
  void add_to(Seen& seen) const;

  // For the callbacks: takes some steps; now and then throws, if the callback may.
  void act(bool may_throw = true);
  Chance& chance() noexcept { return chance_; }
  EventLoop& loop() noexcept { return loop_; }
  Guards& guards() noexcept { return guards_; }
  std::shared_ptr<Stream> new_stream();
  Ref<BaseProtocol> new_protocol(std::shared_ptr<Stream> stream);
  // While a coroutine has a socket, others may close it.
  std::vector<Socket*>& raw_sockets() noexcept { return raw_sockets_; }

 private:
  using Step = void (Walk::*)();

  void take_step();
  void beat();
  template <class T>
  T* any(std::vector<T>& of) {
    return of.empty() ? nullptr : &of[chance_.draw(of.size())];
  }
  // Takes one out, so that the last reference goes when the caller returns.
  template <class T>
  T take_any(std::vector<T>& from) {
    const std::size_t which = chance_.draw(from.size());
    T taken = std::move(from[which]);
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(which));
    return taken;
  }
  // What is called by chance: acts, and counts.
  auto callback() {
    return [this, guard = Guard(guards_)] { act(); };
  }

  // Callbacks and timers: walk_runtime.cpp.
  void call_soon();
  void cancel_handle();
  void drop_handle();
  void post();
  void post_from_thread();
  void call_later();
  void cancel_timer();
  void reschedule_timer();
  void drop_timer();
  // Tasks, futures, generators, jobs: walk_runtime.cpp.
  void start_sleeper();
  void start_waiter();
  void start_generator();
  void start_job();
  void cancel_task();
  void uncancel_task();
  void drop_task();
  void ask_task();
  void make_future();
  void complete_future();
  void cancel_future();
  void drop_future();
  void add_done_callback();
  void remove_done_callback();
  void stop();
  void try_what_is_refused();
  void change_task_factory();
  void change_debug();
  void report();
  // Connections: walk_net.cpp.
  void start_server();
  void end_server();
  void drop_server();
  void end_clients(std::uint64_t server);
  void await_server();
  void start_connection();
  void adopt_pair();
  void start_raw_client();
  void start_raw_acceptor();
  void close_raw();
  void write();
  void write_lines();
  void write_eof();
  void close_transport();
  void abort_transport();
  void pause_reading();
  void resume_reading();
  void set_limits();
  void set_protocol();
  void ask_transport();
  void drop_transport();
  void watch();
  void unwatch();
  void close_watched();

  std::shared_ptr<Stream> any_stream();
  Ref<Server> any_server();
  Coro<void> sleeper();
  Coro<void> waiter(Future<int> future);
  Coro<void> iterate();
  Coro<void> wait_for_job();
  Coro<void> serve();
  Coro<void> attend(Ref<Server> server, std::uint64_t how);
  Coro<void> connect();
  Coro<void> adopt();
  Coro<void> raw_client();
  Coro<void> raw_acceptor();
  Coro<void> use_raw(Socket& socket);
  void keep(Task<void> task);
  bool end_some();

  EventLoop& loop_;
  Guards& guards_;
  Chance chance_;
  unsigned steps_left_;
  int depth_ = 0;
  bool ending_ = false;
  Seen seen_;
  std::vector<std::pair<Handle, std::shared_ptr<Scheduled>>> handles_;
  std::vector<std::pair<TimerHandle, std::shared_ptr<Scheduled>>> timers_;
  std::vector<Task<void>> tasks_;
  std::vector<Future<int>> futures_;
  std::vector<std::pair<Future<int>, DoneCallbackToken>> tokens_;
  std::vector<std::pair<Ref<Server>, std::uint64_t>> servers_;
  std::uint64_t last_server_ = 0;
  std::vector<std::shared_ptr<Stream>> streams_;
  std::vector<Socket*> raw_sockets_;
  struct Watched;
  std::vector<std::shared_ptr<Watched>> watched_;
  std::vector<std::thread> threads_;
  std::shared_ptr<ThreadPoolExecutor> executor_;
  std::vector<std::shared_ptr<Stream>> all_streams_;
};

}  // namespace weir::testing
