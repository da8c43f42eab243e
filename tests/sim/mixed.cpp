// The run of the mixed workload: its servers, its clients, and what must hold at the end.
#include "tests/sim/mixed.hpp"

#include "tests/net/temporary_file.hpp"
#include "tests/sim/mixed_parties.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

using namespace std::chrono_literals;
using weir::Coro;

namespace mixed {

namespace {

constexpr int client_count = 12;
// Who waits longer for an answer waits for ever.
constexpr auto patience = 3h;

std::string text_of(std::size_t size, unsigned salt) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i != size; ++i) {
    text[i] = static_cast<char>((i * 31 + i / 251 + salt) & 0xff);
  }
  return text;
}

std::string fresh_text() {
  const std::size_t size = weir::sim::draw(4) == 0 ? weir::sim::draw(200'000) : weir::sim::draw(5000);
  return text_of(size, static_cast<unsigned>(weir::sim::draw(256)));
}

bool is_shortage(const std::system_error& error) { return error.code() == std::errc::too_many_files_open; }

// What a fault may bring upon whoever uses a socket.
void check_fault(Case& all, const std::system_error& error) {
  all.check(!all.peaceful, std::string("an error in peace: ") + error.what());
}

// --- Servers

Coro<weir::Ref<weir::Server>> serve(Case& all) {
  for (;;) {
    try {
      const auto factory = [&all]() -> weir::Ref<weir::BaseProtocol> {
        if (weir::sim::draw(2) == 0) {
          return weir::make_ref<Echo>(all);
        }
        return weir::make_ref<BufferedEcho>(all);
      };
      weir::ServerOptions options;
      options.port = 0;
      options.backlog = 4;
      co_return co_await all.loop->create_server(factory, options);
    } catch (const std::system_error& error) {
      all.check(is_shortage(error), std::string("create_server: ") + error.what());
    }
    co_await weir::sleep(10ms);
  }
}

Coro<void> echo_by_coroutine(Case& all, weir::Socket socket) {
  try {
    for (;;) {
      const weir::Bytes piece = co_await all.loop->sock_recv(socket, 1 + weir::sim::draw(5000));
      if (piece.empty()) {
        break;
      }
      co_await all.loop->sock_sendall(socket, piece);
    }
  } catch (const std::system_error& error) {
    check_fault(all, error);
  }
}

Coro<void> accept_by_coroutine(Case& all, weir::Socket& listener, std::vector<weir::Task<void>>& serving) {
  for (;;) {
    try {
      auto [socket, from] = co_await all.loop->sock_accept(listener);
      serving.push_back(weir::create_task(echo_by_coroutine(all, std::move(socket))));
    } catch (const std::system_error& error) {
      all.check(is_shortage(error), std::string("sock_accept: ") + error.what());
    }
    co_await weir::sleep(1ms);
  }
}

// --- Clients

weir::Socket open_socket(Case& all) {
  for (;;) {
    try {
      return weir::Socket::open(weir::AddressFamily::inet);
    } catch (const std::system_error& error) {
      all.check(is_shortage(error), std::string("Socket::open: ") + error.what());
    }
  }
}

Coro<void> protocol_client(Case& all, weir::Address server) {
  co_await weir::sleep(std::chrono::microseconds(weir::sim::draw(20'000)));
  const std::string host = server.host();
  weir::ConnectionOptions options;
  options.host = host;
  options.port = server.port();
  if (weir::sim::draw(3) == 0) {
    options.timeout = std::chrono::seconds(60 + weir::sim::draw(100));
  }
  weir::Ref<Sender> sender;
  try {
    const auto factory = [&all] { return weir::make_ref<Sender>(all, fresh_text()); };
    auto made = co_await all.loop->create_connection(factory, options);
    sender = std::move(made.second);
  } catch (const std::system_error& error) {
    check_fault(all, error);
    co_return;
  } catch (const weir::TimeoutError&) {
    all.check(!all.peaceful, "a timeout in peace");
    co_return;
  }
  struct Limit {
    weir::TimerHandle timer;
    weir::Ref<Sender> sender;
    ~Limit() {
      timer.cancel();
      sender->give_up();  // does nothing when the connection is gone
    }
  };
  Sender* const limited = sender.get();
  const Limit limit{all.loop->call_later(patience, [limited] { limited->give_up(); }), sender};
  const weir::Future<void> over = sender->over();
  co_await over;
}

// A socket and its text, held by both tasks that work on it.
struct Conversation {
  weir::Socket socket;
  std::string text;
  std::array<std::byte, 3000> memory{};
  std::optional<std::size_t> received;  // how many bytes the last receive_some() put into memory
  weir::File file;                      // open: the text stands there as well, and is sent from it
  std::size_t offset = 0;
};

constexpr std::size_t file_size = 256 * 1024;

// A part of the one file.
void take_from_file(Conversation& held) {
  static const weir::testing::TemporaryFile file(text_of(file_size, 0));
  held.file = file.open();
  held.offset = weir::sim::draw(file_size - 1);
  const std::size_t count = 1 + weir::sim::draw(std::min<std::size_t>(file_size - held.offset, 50'000));
  held.text = text_of(file_size, 0).substr(held.offset, count);
}

Coro<void> send_text(Case& all, std::shared_ptr<Conversation> held) {
  try {
    if (held->file.is_open()) {
      const weir::SendFileOptions part{.offset = static_cast<std::int64_t>(held->offset),
                                       .count = static_cast<std::int64_t>(held->text.size())};
      co_await all.loop->sock_sendfile(held->socket, held->file, part);
    } else {
      co_await all.loop->sock_sendall(held->socket, held->text);
    }
    held->socket.shutdown_write();
  } catch (const std::system_error& error) {
    check_fault(all, error);
  }
}

Coro<void> receive_some(Case& all, std::shared_ptr<Conversation> held) {
  const std::span<std::byte> into = std::span(held->memory).first(1 + weir::sim::draw(held->memory.size()));
  held->received = co_await all.loop->sock_recv_into(held->socket, into);
}

// Receives in a task that is cancelled before long. What it received all the same is not lost.
Coro<void> receive_hastily(Case& all, std::shared_ptr<Conversation> held) {
  const weir::Task<void> receiving = weir::create_task(receive_some(all, held));
  all.loop->call_later(std::chrono::microseconds(weir::sim::draw(100)),
                       [task = receiving]() mutable { task.cancel(); });
  try {
    co_await receiving;
  } catch (const weir::CancelledError&) {
    if (weir::current_task()->cancelling() != 0) {
      throw;  // it is this task that was meant
    }
  }
}

Coro<void> receive_text(Case& all, std::shared_ptr<Conversation> held) {
  std::size_t got = 0;
  for (;;) {
    held->received.reset();
    if (weir::sim::draw(4) == 0) {
      co_await receive_hastily(all, held);
    } else {
      co_await receive_some(all, held);
    }
    if (!held->received) {
      continue;
    }
    const std::size_t count = *held->received;
    if (count == 0) {
      break;
    }
    const std::string_view piece = weir::as_text(std::span(held->memory).first(count));
    all.check(held->text.compare(got, count, piece) == 0, "other bytes came back to a coroutine");
    got += count;
  }
  const bool complete = got == held->text.size();
  all.complete += complete ? 1 : 0;
  all.check(!all.peaceful || complete, "a peaceful coroutine did not get everything");
}

Coro<void> coroutine_client(Case& all, weir::Address server) {
  co_await weir::sleep(std::chrono::microseconds(weir::sim::draw(20'000)));
  const auto held = std::make_shared<Conversation>();
  held->socket = open_socket(all);
  if (weir::sim::draw(4) == 0) {
    take_from_file(*held);
  } else {
    held->text = fresh_text();
  }
  struct End {
    weir::EventLoop& loop;
    weir::TimerHandle timer;
    std::optional<weir::Task<void>> sending;
    ~End() {
      timer.cancel();
      if (sending) {
        sending->cancel();
      }
    }
  };
  End end{*all.loop, all.loop->call_later(patience, [held] { held->socket.close(); }), {}};
  try {
    co_await all.loop->sock_connect(held->socket, server);
    end.sending = weir::create_task(send_text(all, held));
    co_await receive_text(all, held);
    co_await *end.sending;
  } catch (const std::system_error& error) {
    check_fault(all, error);
  }
}

Coro<void> job_client(Case& all) {
  co_await weir::sleep(std::chrono::microseconds(weir::sim::draw(20'000)));
  for (int i = 0; i != 3; ++i) {
    const auto result = all.loop->run_in_executor(nullptr, [i] { return i * i; });
    all.check(co_await result == i * i, "a job gave another result");
  }
}

// --- The whole

Coro<void> finish(Case& all, std::vector<weir::Task<void>>& tasks) {
  for (std::size_t i = 0; i != tasks.size(); ++i) {
    const weir::Task<void> task = tasks[i];
    try {
      co_await task;
    } catch (const weir::CancelledError&) {
      all.check(!all.peaceful || &tasks != &all.tasks, "cancelled in peace");
    } catch (const std::exception& error) {
      all.problems.push_back(std::string("a task failed: ") + error.what());
    }
  }
}

Coro<void> drive(Case& all) {
  all.server = co_await serve(all);
  const std::uint16_t port = all.server->sockets().front().local_address().port();
  const weir::Address by_protocol = weir::Address::loopback(weir::AddressFamily::inet, port);
  weir::Socket listener = open_socket(all);
  listener.bind(weir::Address::loopback(weir::AddressFamily::inet, 0));
  listener.listen(4);
  const weir::Address by_coroutine = listener.local_address();
  std::vector<weir::Task<void>> serving;
  weir::Task<void> accepting = weir::create_task(accept_by_coroutine(all, listener, serving));
  for (int i = 0; i != client_count; ++i) {
    const weir::Address server = weir::sim::draw(2) == 0 ? by_protocol : by_coroutine;
    all.tasks.push_back(weir::create_task(weir::sim::draw(2) == 0 ? protocol_client(all, server)
                                                                  : coroutine_client(all, server)));
    start_timer(all);
  }
  all.tasks.push_back(weir::create_task(job_client(all)));
  all.post();
  co_await finish(all, all.tasks);
  accepting.cancel();
  std::vector<weir::Task<void>> acceptors(1, accepting);
  co_await finish(all, acceptors);
  for (weir::Task<void>& task : serving) {
    task.cancel();
  }
  co_await finish(all, serving);
  all.server->close();
  all.server->abort_clients();
  co_await all.server->wait_closed();
  // Nobody else may hold what a spectator took over.
  const std::vector<weir::Ref<weir::Transport>> left = all.transports;
  for (const weir::Ref<weir::Transport>& transport : left) {
    transport->abort();
  }
  while (all.made != all.lost || all.timers_open != 0 || all.posts_made != all.posts_run) {
    co_await weir::sleep(1s);
  }
  all.server.reset();
}

// Reports are expected of what was planned, and of what a shortage does to a server.
bool is_expected(const weir::ExceptionContext& context) {
  try {
    if (context.exception) {
      std::rethrow_exception(context.exception);
    }
  } catch (const Planned&) {
    return true;
  } catch (const std::system_error& error) {
    return is_shortage(error);
  } catch (...) {
  }
  return false;
}

// Drawn from the seed by itself: the world does not exist yet.
struct Draws {
  std::uint64_t state;
  std::uint64_t next(std::uint64_t bound) {
    state += 0x9e3779b97f4a7c15U;
    std::uint64_t z = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (z ^ (z >> 31)) % bound;
  }
  double chance(double most) { return next(3) == 0 ? most * static_cast<double>(1 + next(4)) / 4 : 0; }
};

}  // namespace

// A timer that may be moved or cancelled, once or more, before it fires.
void start_timer(Case& all) {
  struct Timer {
    Case& all;
    weir::TimePoint deadline;
    weir::TimerHandle handle;
    bool fired = false;
  };
  const auto delay = std::chrono::microseconds(weir::sim::draw(50'000));
  const auto timer = std::make_shared<Timer>(Timer{all, all.loop->time() + delay, {}});
  ++all.timers_open;
  timer->handle = all.loop->call_at(timer->deadline, [timer] {
    timer->all.check(timer->all.loop->time() >= timer->deadline, "a timer fired early");
    timer->all.check(!std::exchange(timer->fired, true), "a timer fired twice, or after it was cancelled");
    --timer->all.timers_open;
    timer->handle = {};
  });
  if (weir::sim::draw(2) == 0) {
    all.loop->call_later(std::chrono::microseconds(weir::sim::draw(50'000)), [timer] {
      if (weir::sim::draw(2) == 0) {
        const weir::TimePoint later =
            timer->all.loop->time() + std::chrono::microseconds(weir::sim::draw(50'000));
        if (timer->handle.reschedule(later)) {
          timer->all.check(!timer->fired, "a timer was moved after it fired");
          timer->deadline = later;
        }
      } else if (!std::exchange(timer->fired, true)) {
        timer->handle.cancel();
        --timer->all.timers_open;
      }
    });
  }
}

bool is_peaceful(std::uint64_t seed) { return seed % 4 == 0; }

weir::sim::Options options_of(std::uint64_t seed) {
  Draws draws{seed};
  weir::sim::Options options;
  options.seed = seed;
  options.cancel_loses_chance = draws.chance(1);
  options.socket_buffer_bytes = 2500 + draws.next(30'000);
  options.rare_path_chance = draws.next(4) == 0 ? 0 : 0.25;
  if (draws.next(4) == 0) {
    options.latency_max = std::chrono::milliseconds(1 + draws.next(50));
  }
  if (is_peaceful(seed)) {
    return options;
  }
  options.refuse_chance = draws.chance(0.2);
  options.reset_chance = draws.chance(0.01);
  options.vanish_chance = draws.chance(0.005);
  options.clog_chance = draws.chance(0.02);
  options.partition_chance = draws.chance(0.005);
  options.partition_max = std::chrono::seconds(1 + draws.next(200));
  options.descriptor_chance = draws.chance(0.2);
  options.clock_jump_chance = draws.chance(0.005);
  return options;
}

Outcome run(std::uint64_t seed) {
  weir::sim::configure(options_of(seed));
  Case all;
  all.peaceful = is_peaceful(seed);
  weir::set_log_sink([&all](weir::LogLevel, std::string_view message) {
    if (message.find("does nothing: the connection is gone") == std::string_view::npos) {
      all.problems.push_back("logged: " + std::string(message));
    }
  });
  {
    weir::Runner runner;
    weir::EventLoop& loop = runner.get_loop();
    all.loop = &loop;
    loop.set_exception_handler([&all](weir::EventLoop&, const weir::ExceptionContext& context) {
      all.check(is_expected(context), "reported: " + context.message);
    });
    std::optional<weir::Task<void>> driving;
    loop.call_later(24h * 365, [&] {
      all.problems.push_back("it does not end");
      driving->cancel();
    });
    try {
      driving = loop.create_task(drive(all));
      loop.run_until_complete(*driving);
    } catch (const std::exception& error) {
      all.problems.push_back(std::string("the run failed: ") + error.what());
    } catch (const weir::CancelledError&) {
    }
    runner.close();
    all.transports.clear();
    all.tasks.clear();
    all.server.reset();
  }
  weir::set_log_sink({});
  if (const std::size_t left = weir::sim::open_sockets(); left != 0) {
    all.problems.push_back(std::to_string(left) + " sockets are left open");
  }
  Outcome outcome;
  outcome.hash = weir::sim::trace_hash();
  for (const char letter : weir::sim::trace(256)) {
    outcome.text_hash = (outcome.text_hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3U;
  }
  outcome.problems = std::move(all.problems);
  outcome.connections = all.made;
  outcome.complete = all.complete;
  weir::sim::configure({});
  return outcome;
}

}  // namespace mixed
