// CONN-008, CONN-016: four addresses, and every order in which they answer, fail or hang.
#include "tests/net/net_test.hpp"

#include <weir/sim.hpp>

#include <array>
#include <numeric>
#include <optional>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

enum class Fate { answers, fails, hangs };
constexpr std::size_t count = 4;
using Fates = std::array<Fate, count>;
using Order = std::array<std::size_t, count>;  // which address speaks first, second, …

constexpr std::uint16_t port = 7000;
constexpr Duration limit = 60s;  // less than after which the system gives up
// When the way to the address that speaks first, second, … is free.
constexpr std::array<Duration, count> free_from{550ms, 2050ms, 5050ms, 10050ms};
constexpr std::array<std::string_view, count> hosts{"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"};

// Listening where an address is to answer. Each way is blocked until it is the address's turn to speak.
class Scene {
 public:
  Scene(EventLoop& loop, const Fates& fates, const Order& order) {
    sim::set_host("four.test", {hosts[0], hosts[1], hosts[2], hosts[3]});
    for (std::size_t i = 0; i != count; ++i) {
      sim::partition({hosts[i], port}, {});
      if (fates[i] == Fate::answers) {
        Socket& listener = listeners_.emplace_back(Socket::open(AddressFamily::inet));
        listener.bind(Address::inet(hosts[i], port));
        listener.listen();
      }
    }
    for (std::size_t place = 0; place != count; ++place) {
      if (fates[order[place]] != Fate::hangs) {
        const std::string_view host = hosts[order[place]];
        timers_.push_back(loop.call_later(free_from[place], [host] { sim::heal({host, port}, {}); }));
      }
    }
  }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  ~Scene() {
    for (TimerHandle& timer : timers_) {
      timer.cancel();
    }
    sim::heal();
  }

 private:
  std::vector<Socket> listeners_;
  std::vector<TimerHandle> timers_;
};

// What connecting came to.
struct Outcome {
  std::string winner;  // its host; empty when there was none
  bool timed_out = false;
  std::size_t errors = 0;
  std::size_t open = 0;  // sockets, at the moment in which the call returned
  Duration took{};
};

Coro<void> connect(EventLoop& loop, std::optional<Duration> delay, Outcome& outcome) {
  const ConnectionOptions options{
      .host = "four.test", .port = port, .timeout = limit, .happy_eyeballs_delay = delay, .all_errors = true};
  const TimePoint begun = loop.time();
  try {
    auto [transport, protocol] =
        co_await loop.create_connection([] { return make_ref<Recorder>(); }, options);
    outcome.open = sim::open_sockets();
    outcome.winner = transport->get_extra_info<extra::peername>()->host();
    transport->abort();
  } catch (const TimeoutError&) {
    outcome.open = sim::open_sockets();
    outcome.timed_out = true;
  } catch (const ExceptionGroup& group) {
    outcome.open = sim::open_sockets();
    outcome.errors = group.exceptions().size();
  }
  outcome.took = loop.time() - begun;
}

std::string text_of(const Fates& fates, const Order& order) {
  std::string text = "fates ";
  for (const Fate fate : fates) {
    text += "afh"[static_cast<int>(fate)];
  }
  text += ", order ";
  for (const std::size_t place : order) {
    text += static_cast<char>('0' + place);
  }
  return text;
}

// Calls each(fates, order) for all of them. The places of those that hang mean nothing: one order of these.
template <class Each>
void for_all(Each each) {
  for (int number = 0; number != 3 * 3 * 3 * 3; ++number) {
    Fates fates{};
    for (int i = 0, rest = number; i != static_cast<int>(count); ++i, rest /= 3) {
      fates[static_cast<std::size_t>(i)] = static_cast<Fate>(rest % 3);
    }
    Order order{};
    std::iota(order.begin(), order.end(), std::size_t{0});
    do {
      each(fates, order);
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

// In which place an address speaks; past the end when it never does.
std::size_t place_of(const Fates& fates, const Order& order, std::size_t address) {
  const auto found = std::find(order.begin(), order.end(), address);
  return fates[address] == Fate::hangs ? count : static_cast<std::size_t>(found - order.begin());
}

// When an attempt that begins at `begin` ends: knocking is repeated after 1, 3, 7, … seconds until the way is
// free.
Duration end_of(Duration begin, std::size_t place) {
  Duration waited = 0s;
  while (place != count && begin + waited < free_from[place]) {
    waited = 2 * waited + 1s;
  }
  return place == count ? limit : begin + waited;
}

struct World {
  World(const Fates& fates, const Order& order, std::optional<Duration> delay) {
    sim::Options options;
    options.seed = 1;
    options.late_chance = 0;
    sim::configure(options);
    EventLoop loop;
    const Scene scene(loop, fates, order);
    const std::size_t before = sim::open_sockets();
    loop.run_until_complete(connect(loop, delay, outcome));
    left_open = outcome.open - before;
    tasks_left = all_tasks(loop).size();
    drain(loop);  // the transport closes
    leaked = sim::open_sockets() - before;
  }
  ~World() { sim::configure({}); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Outcome outcome;
  std::size_t left_open = 0;  // when the call returned
  std::size_t tasks_left = 0;
  std::size_t leaked = 0;
};

}  // namespace

TEST_CASE("CONN-008 CONN-016 all at once: the first of four that answers wins, in every order") {
  int runs = 0;
  for_all([&](const Fates& fates, const Order& order) {
    INFO(text_of(fates, order));
    const World world(fates, order, 0s);
    ++runs;
    std::size_t first = count;  // place of the first answer
    bool one_hangs = false;
    for (std::size_t i = 0; i != count; ++i) {
      one_hangs = one_hangs || fates[i] == Fate::hangs;
      if (fates[i] == Fate::answers) {
        first = std::min(first, place_of(fates, order, i));
      }
    }
    if (first != count) {
      REQUIRE(world.outcome.winner == hosts[order[first]]);
      REQUIRE(world.outcome.took - end_of(0s, first) < 1ms);
    } else if (one_hangs) {
      REQUIRE(world.outcome.timed_out);
      REQUIRE(world.outcome.took >= limit);
    } else {
      REQUIRE(world.outcome.errors == count);
    }
    REQUIRE(world.tasks_left == 0);
    REQUIRE(world.left_open == (world.outcome.winner.empty() ? 0 : 1));
    REQUIRE(world.leaked == 0);
  });
  CHECK(runs == 81 * 24);
}

TEST_CASE("CONN-008 CONN-016 staggered: who speaks before the next is tried decides it, in every order") {
  constexpr Duration delay = 4100ms;  // no two attempts end at the same time
  for_all([&](const Fates& fates, const Order& order) {
    INFO(text_of(fates, order));
    const World world(fates, order, delay);
    // The model: an attempt begins with the failure of the one before it, or after the delay.
    Duration begin{};
    std::optional<Duration> won;
    std::string winner;
    bool one_hangs = false;
    for (std::size_t i = 0; i != count; ++i) {
      if (won && *won <= begin) {
        break;  // never tried
      }
      const Duration end = end_of(begin, place_of(fates, order, i));
      one_hangs = one_hangs || fates[i] == Fate::hangs;
      if (fates[i] == Fate::answers && (!won || end < *won)) {
        won = end;
        winner = hosts[i];
      }
      begin = fates[i] == Fate::fails ? std::min<Duration>(end, begin + delay) : begin + delay;
    }
    if (won) {
      REQUIRE(world.outcome.winner == winner);
    } else {
      REQUIRE(world.outcome.timed_out == one_hangs);
      REQUIRE(world.outcome.errors == (one_hangs ? 0 : count));
    }
    REQUIRE(world.tasks_left == 0);
    REQUIRE(world.left_open == (world.outcome.winner.empty() ? 0 : 1));
    REQUIRE(world.leaked == 0);
  });
}

TEST_CASE("CONN-002 one after the other: the first that answers, unless one before it hangs") {
  for_all([&](const Fates& fates, const Order& order) {
    INFO(text_of(fates, order));
    const World world(fates, order, std::nullopt);
    std::size_t decisive = 0;
    while (decisive != count && fates[decisive] == Fate::fails) {
      ++decisive;
    }
    if (decisive == count) {
      REQUIRE(world.outcome.errors == count);
    } else if (fates[decisive] == Fate::hangs) {
      REQUIRE(world.outcome.timed_out);
    } else {
      REQUIRE(world.outcome.winner == hosts[decisive]);
    }
    REQUIRE(world.left_open == (world.outcome.winner.empty() ? 0 : 1));
    REQUIRE(world.leaked == 0);
  });
}
