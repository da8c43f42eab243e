// DNS: what servers are asked: a real dnsmasq, one that is silent, and one that answers nonsense.
#include "tests/net/dns/servers.hpp"

#if defined(WEIR_TEST_POSIX)
#include <sys/resource.h>
#endif

#include <chrono>
#include <memory>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// Skips on backends whose sockets reach no server, and on machines that have none.
bool no_dnsmasq(std::string_view id) { return lacks(id, "real_network") || lacks(id, Trait::name_server); }

void use(EventLoop& loop, const Address& server, Duration total = 20s) {
  loop.set_resolver_options({.servers = {&server, 1},
                             .search = "",
                             .timeout = 10s,
                             .tries = 1,
                             .total_timeout = total,
                             .hosts_file = "",
                             .resolv_conf = ""});
}

Coro<std::vector<AddrInfo>> start(EventLoop& loop, std::string name) {
  const AddrInfoOptions options{.type = SocketType::stream};
  co_return co_await loop.getaddrinfo(name, 80, options);
}

std::vector<std::string> many_records() {
  std::vector<std::string> records;
  for (int i = 1; i <= 60; ++i) {
    records.push_back("--host-record=big.test,192.0.2." + std::to_string(i));
  }
  return records;
}

#if defined(WEIR_TEST_POSIX)
// While it lives, the system gives no new descriptor.
class NoDescriptors {
 public:
  NoDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit none = before_;
    none.rlim_cur = 0;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};
#endif

// The outcome of a task: "cancelled", the error's text, or the hosts.
Coro<std::string> outcome_of(Task<std::vector<AddrInfo>> task) {
  try {
    const std::vector<AddrInfo> answers = co_await task;
    co_return hosts_of(answers);
  } catch (const CancelledError&) {
    co_return "cancelled";
  } catch (const std::system_error& error) {
    co_return error.code().message();
  }
}

}  // namespace

WEIR_TEST("DNS-007 a name that does not exist differs from a temporary failure") {
  if (no_dnsmasq("DNS-007")) {
    co_return;
  }
  const std::vector<std::string> records{"--host-record=one.test,192.0.2.1",
                                         "--host-record=six.test,2001:db8::6"};
  Dnsmasq server(records);
  co_await server.use(loop);
  CHECK(co_await lookup_error(loop, "missing.test") == ResolverErrc::not_found);
  CHECK(co_await lookup_error(loop, "one.test", AddressFamily::inet6) == ResolverErrc::no_data);
  CHECK(co_await lookup_error(loop, "six.test", AddressFamily::inet) == ResolverErrc::no_data);
  // It knows no server for other names, and says REFUSED.
  CHECK(co_await lookup_error(loop, "elsewhere.example") == ResolverErrc::temporary_failure);
  const Address nobody = Address::loopback(AddressFamily::inet, closed_port());
  use(loop, nobody, 200ms);
  CHECK(co_await lookup_error(loop, "one.test") == ResolverErrc::temporary_failure);
  if (has("datagram_errors")) {
    // A refusal ends the question that it answers before its time-out of 10 s. Of one family: c-ares gives a
    // second question on the same socket the first one's refusal, and the first waits on.
    use(loop, nobody);
    const TimePoint begin = loop.time();
    CHECK(co_await lookup_error(loop, "one.test", AddressFamily::inet) == ResolverErrc::temporary_failure);
    CHECK(loop.time() - begin < 5s);
  }
  const ScriptedServer failing(
      loop, [](const std::string& query) { return std::vector<std::string>{empty_reply(query, 2)}; });
  use(loop, failing.address());
  CHECK(co_await lookup_error(loop, "one.test") == ResolverErrc::temporary_failure);
  CHECK(failing.received() >= 1);
}

WEIR_TEST("DNS a real server's addresses, aliases, long answers and names of addresses") {
  if (no_dnsmasq("DNS-001")) {
    co_return;
  }
  std::vector<std::string> records = many_records();
  records.insert(records.end(), {"--host-record=one.test,192.0.2.101,2001:db8::1",
                                 "--cname=alias.test,one.test", "--host-record=deep.sub.test,192.0.2.103"});
  Dnsmasq server(records);
  co_await server.use(loop);
  CHECK(co_await lookup(loop, "one.test") == "192.0.2.101 2001:db8::1");
  CHECK(co_await lookup(loop, "One.TEST.", AddressFamily::inet) == "192.0.2.101");
  CHECK(co_await lookup(loop, "one.test", AddressFamily::inet6) == "2001:db8::1");
  const AddrInfoOptions canonical{.family = AddressFamily::inet, .flags = AddrInfoFlags::canonical_name};
  const auto answers = co_await loop.getaddrinfo("alias.test", "http", canonical);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].canonical_name == "one.test");
  CHECK(answers[0].address == Address::inet("192.0.2.101", 80));
  const AddrInfoOptions mapped{
      .family = AddressFamily::inet6, .type = SocketType::stream, .flags = AddrInfoFlags::v4_mapped};
  CHECK(hosts_of(co_await loop.getaddrinfo("deep.sub.test", 1, mapped)) == "::ffff:192.0.2.103");
  // Too long for a datagram: it comes by TCP.
  const AddrInfoOptions inet{.family = AddressFamily::inet, .type = SocketType::stream};
  CHECK((co_await loop.getaddrinfo("big.test", 1, inet)).size() == 60);
  CHECK(server.queries("query[A] big.test") == 2);
  // Back again.
  CHECK((co_await loop.getnameinfo(Address::inet("192.0.2.103", 80))).first == "deep.sub.test");
  CHECK((co_await loop.getnameinfo(Address::inet("2001:db8::1", 80))).first == "one.test");
  CHECK((co_await loop.getnameinfo(Address::inet("192.0.2.250", 80))).first == "192.0.2.250");
  try {
    co_await loop.getnameinfo(Address::inet("192.0.2.250", 80), NameInfoFlags::name_required);
    FAIL("the address has no name");
  } catch (const std::system_error& error) {
    CHECK(error.code() == ResolverErrc::not_found);
  }
  // Short names are tried with the search domains.
  loop.set_resolver_options(
      {.servers = {&server.address(), 1}, .search = "none.test, sub.test", .hosts_file = ""});
  CHECK(co_await lookup(loop, "deep", AddressFamily::inet) == "192.0.2.103");
}

WEIR_TEST("DNS-008 LESSON-030 many look-ups run at once and need no thread of the executor") {
  if (lacks("DNS-008", "real_network")) {
    co_return;
  }
  loop.set_default_executor(std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.max_workers = 1}));
  const ScriptedServer silent(loop);
  use(loop, silent.address());
  std::vector<Task<std::vector<AddrInfo>>> tasks;
  for (int i = 0; i != 100; ++i) {
    tasks.push_back(loop.create_task(start(loop, "name" + std::to_string(i) + ".test")));
  }
  co_await until([&silent] { return silent.received() >= 200; });
  // LESSON-030: a job of the executor's only thread is not delayed by them.
  const TimePoint before = loop.time();
  CHECK(co_await loop.run_in_executor(nullptr, [] { return 42; }) == 42);
  CHECK(loop.time() - before < 5s);
  for (const auto& task : tasks) {
    CHECK(!task.done());
  }
  // Nor is the end of the program: the loop closes with the rest of them pending.
  for (std::size_t i = 0; i != 50; ++i) {
    tasks[i].cancel();
    CHECK(co_await outcome_of(tasks[i]) == "cancelled");
  }
  for (std::size_t i = 50; i != 100; ++i) {
    CHECK(!tasks[i].done());
    tasks[i].cancel();
  }
  co_await until([&tasks] { return tasks.back().done(); });
  co_await loop.shutdown_default_executor();
}

WEIR_TEST("DNS-009 a cancelled look-up ends at once, harms no other, and its late answer is dropped") {
  if (lacks("DNS-009", "real_network")) {
    co_return;
  }
  std::vector<std::string> held;
  bool open = false;
  const ScriptedServer late(loop, [&](const std::string& query) {
    if (!open) {
      held.push_back(query);
      return std::vector<std::string>();
    }
    std::vector<std::string> answers;  // those that were asked for before come with the first one
    for (const std::string& old : std::exchange(held, {})) {
      answers.push_back(type_of(old) == 1 ? reply_with(old, {"192.0.2.66"}) : empty_reply(old, 0));
    }
    answers.push_back(type_of(query) == 1 ? reply_with(query, {"192.0.2.1"}) : empty_reply(query, 0));
    return answers;
  });
  use(loop, late.address());
  auto cancelled = loop.create_task(start(loop, "first.test"));
  auto other = loop.create_task(start(loop, "second.test"));
  co_await until([&held] { return held.size() == 4; });
  cancelled.cancel();
  CHECK(co_await outcome_of(cancelled) == "cancelled");
  CHECK(!other.done());
  open = true;
  CHECK(co_await lookup(loop, "third.test") == "192.0.2.1");
  CHECK(co_await outcome_of(other) == "192.0.2.66");
  // The last one to wait takes the queries with it, and the next begins afresh.
  open = false;
  auto last = loop.create_task(start(loop, "fourth.test"));
  co_await until([&held] { return held.size() == 2; });
  const std::size_t descriptors = open_descriptors();
  last.cancel();
  CHECK(co_await outcome_of(last) == "cancelled");
  CHECK(open_descriptors() < descriptors);
  open = true;
  held.clear();
  CHECK(co_await lookup(loop, "fifth.test") == "192.0.2.1");
}

WEIR_TEST("DNS-009 cancelled before it begins, and at every turn of its way") {
  if (lacks("DNS-009", "real_network")) {
    co_return;
  }
  const ScriptedServer server(loop, [](const std::string& query) {
    return std::vector<std::string>{type_of(query) == 1 ? reply_with(query, {"192.0.2.1"})
                                                        : empty_reply(query, 0)};
  });
  use(loop, server.address());
  bool cancelled = false;
  bool answered = false;
  for (int turns = 0; turns != 40; ++turns) {
    auto task = loop.create_task(start(loop, "turns.test"));
    for (int i = 0; i != turns; ++i) {
      co_await sleep(0s);
    }
    task.cancel();
    const std::string outcome = co_await outcome_of(task);
    CHECK((outcome == "cancelled" || outcome == "192.0.2.1"));
    cancelled = cancelled || outcome == "cancelled";
    answered = answered || outcome == "192.0.2.1";
  }
  CHECK(cancelled);
  CHECK(answered);
}

WEIR_TEST("DNS-013 a look-up without any answer ends in the configured time") {
  if (lacks("DNS-013", "real_network")) {
    co_return;
  }
  const ScriptedServer silent(loop);
  // By the limit of all look-ups.
  use(loop, silent.address(), 50ms);
  TimePoint begin = loop.time();
  CHECK(co_await lookup_error(loop, "silent.test") == ResolverErrc::temporary_failure);
  CHECK(loop.time() - begin >= 50ms);
  CHECK(loop.time() - begin < 5s);
  // By the rounds of the servers.
  loop.set_resolver_options(
      {.servers = {&silent.address(), 1}, .search = "", .timeout = 20ms, .tries = 2, .hosts_file = ""});
  begin = loop.time();
  CHECK(co_await lookup_error(loop, "silent.test") == ResolverErrc::temporary_failure);
  CHECK(loop.time() - begin >= 20ms);
  CHECK(loop.time() - begin < 10s);
  // By the limit of one look-up, while another goes on.
  use(loop, silent.address());
  auto other = loop.create_task(start(loop, "other.test"));
  const AddrInfoOptions hurried{.timeout = 10ms};
  try {
    co_await loop.getaddrinfo("silent.test", 1, hurried);
    FAIL("nobody answered");
  } catch (const std::system_error& error) {
    CHECK(error.code() == ResolverErrc::temporary_failure);
  }
  CHECK(!other.done());
  other.cancel();
  CHECK(co_await outcome_of(other) == "cancelled");
  // A name for an address is bounded as well.
  use(loop, silent.address(), 30ms);
  try {
    co_await loop.getnameinfo(Address::inet("192.0.2.1", 1));
    FAIL("nobody answered");
  } catch (const std::system_error& error) {
    CHECK(error.code() == ResolverErrc::temporary_failure);
  }
}

WEIR_TEST("DNS-014 a callback of an answer starts another look-up") {
  if (lacks("DNS-014", "real_network")) {
    co_return;
  }
  const ScriptedServer server(loop, [](const std::string& query) {
    return std::vector<std::string>{type_of(query) == 1 ? reply_with(query, {"192.0.2.1"})
                                                        : empty_reply(query, 0)};
  });
  use(loop, server.address());
  std::vector<Task<std::vector<AddrInfo>>> tasks;
  constexpr std::size_t all = 20;
  tasks.reserve(all);
  std::size_t answered = 0;
  std::function<void()> more = [&] {
    if (tasks.size() != all) {
      tasks.push_back(loop.create_task(start(loop, "next" + std::to_string(tasks.size()) + ".test")));
      tasks.back().add_done_callback([&more, &answered] {
        ++answered;
        more();
      });
      use(loop, server.address());  // and replaces the resolver under it
    }
  };
  more();
  co_await until([&answered] { return answered == all; });
  for (auto& task : tasks) {
    CHECK(co_await outcome_of(task) == "192.0.2.1");
  }
}

TEST_CASE_FIXTURE(LoopFixture,
                  "DNS-014 the loop closes when an answer arrives, with other look-ups pending") {
  if (lacks("DNS-014", "real_network")) {
    return;
  }
  auto server = std::make_unique<ScriptedServer>(loop, [](const std::string& query) {
    if (query.find("answered") == std::string::npos) {
      return std::vector<std::string>();
    }
    return std::vector<std::string>{type_of(query) == 1 ? reply_with(query, {"192.0.2.1"})
                                                        : empty_reply(query, 0)};
  });
  use(loop, server->address());
  for (int i = 0; i != 10; ++i) {
    loop.create_task(start(loop, "pending" + std::to_string(i) + ".test"));
  }
  auto answered = loop.create_task(start(loop, "answered.test"));
  answered.add_done_callback([this] { loop.stop(); });
  loop.run_forever();
  CHECK(answered.done());
  CHECK(server->received() >= 2);
  server.reset();
  loop.close();
  for (int i = 0; i != 10; ++i) {
    env.expect_report("Task was destroyed but it is pending");
  }
}

WEIR_TEST("LESSON-031 without a descriptor left a look-up fails, and the next one works again") {
  if (lacks("LESSON-031", "real_network") || lacks("LESSON-031", Trait::descriptor_limit)) {
    co_return;
  }
#if defined(WEIR_TEST_POSIX)
  const ScriptedServer server(loop, [](const std::string& query) {
    return std::vector<std::string>{type_of(query) == 1 ? reply_with(query, {"192.0.2.1"})
                                                        : empty_reply(query, 0)};
  });
  use(loop, server.address());
  {
    const NoDescriptors none;
    CHECK(co_await lookup_error(loop, "full.test") == ResolverErrc::temporary_failure);
  }
  CHECK(co_await lookup(loop, "full.test") == "192.0.2.1");
#endif
}

WEIR_TEST("LESSON-031 malformed answers end a look-up with an error or are waited over") {
  if (lacks("DNS-013", "real_network")) {
    co_return;
  }
  using Make = std::function<std::string(const std::string&)>;
  const std::vector<Make> answers{
      [](const std::string&) { return std::string("x"); },
      [](const std::string& query) { return query; },
      [](const std::string& query) { return reply_with(query, {"192.0.2.1"}).substr(0, 20); },
      [](const std::string& query) {
        std::string reply = reply_with(query, {"192.0.2.1"});
        return reply.substr(0, reply.size() - 2);  // cut inside the address
      },
      [](const std::string& query) {
        std::string reply = reply_with(query, {"192.0.2.1"});
        reply[reply.size() - 15] = static_cast<char>(reply.size() - 16);  // a name that points to itself
        reply[reply.size() - 16] = static_cast<char>(0xc0);
        return reply;
      },
      [](const std::string& query) {
        std::string reply = reply_with(query, {"192.0.2.1"});
        reply[reply.size() - 5] = 3;  // an address of three bytes
        return reply;
      },
      [](const std::string& query) {
        std::string reply = empty_reply(query, 0);
        reply[7] = 77;  // answers that are not there
        return reply;
      },
      [](const std::string& query) {
        std::string reply = reply_with(query, {"192.0.2.1"});
        reply[0] = static_cast<char>(reply[0] ^ 1);  // another question's number
        return reply;
      },
      [](const std::string& query) { return reply_with(query, {"192.0.2.1"}) + std::string(1500, 'j'); },
  };
  for (const Make& make : answers) {
    const ScriptedServer server(
        loop, [&make](const std::string& query) { return std::vector<std::string>{make(query)}; });
    use(loop, server.address(), 100ms);
    const TimePoint begin = loop.time();
    auto task = loop.create_task(start(loop, "odd.test"));
    const std::string outcome = co_await outcome_of(task);
    CHECK((outcome == "192.0.2.1" || outcome == make_error_code(ResolverErrc::failure).message() ||
           outcome == make_error_code(ResolverErrc::temporary_failure).message() ||
           outcome == make_error_code(ResolverErrc::no_data).message()));
    CHECK(loop.time() - begin < 5s);
    CHECK(server.received() >= 1);
  }
}

WEIR_TEST("LESSON-032 a changed resolv.conf is noticed, and look-ups under way are not disturbed") {
  if (no_dnsmasq("LESSON-032") || lacks("LESSON-032", Trait::resolv_conf)) {
    co_return;
  }
  // No port can be written there, so the files differ in what can be seen without one: the search domain.
  const std::vector<std::string> records{"--host-record=short.old.test,192.0.2.1",
                                         "--host-record=short.new.test,192.0.2.2"};
  Dnsmasq server(records);
  co_await server.use(loop);
  const TemporaryFile resolv_conf("search old.test\n");
  loop.set_resolver_options(
      {.servers = {&server.address(), 1}, .hosts_file = "", .resolv_conf = resolv_conf.path()});
  CHECK(co_await lookup(loop, "short", AddressFamily::inet) == "192.0.2.1");
  auto under_way = loop.create_task(start(loop, "short"));
  co_await sleep(0s);
  resolv_conf.replace("search new.test\n");
  CHECK(co_await lookup(loop, "short", AddressFamily::inet) == "192.0.2.2");
  CHECK(co_await outcome_of(under_way) == "192.0.2.1");
}
