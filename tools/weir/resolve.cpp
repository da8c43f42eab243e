// `weir resolve`: names to addresses and back, as the library's resolver sees them.
#include "tools/weir/error_text.hpp"
#include "tools/weir/json_text.hpp"
#include "tools/weir/verbs.hpp"

#include <weir/net/resolver.hpp>
#include <weir/tasks.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace program {

namespace {

// What became of one name.
struct Resolved {
  std::vector<std::string> answers;
  std::string canonical;
  std::string error;
};

weir::Coro<Resolved> resolve_one(weir::EventLoop& loop, std::string name, bool reverse) {
  Resolved resolved;
  try {
    if (reverse) {
      const weir::Address address = weir::Address::inet(name, 0);
      const auto names = co_await loop.getnameinfo(address, weir::NameInfoFlags::name_required);
      resolved.answers.push_back(names.first);
    } else {
      const weir::AddrInfoOptions options{.type = weir::SocketType::stream,
                                          .flags = weir::AddrInfoFlags::canonical_name};
      for (const weir::AddrInfo& one : co_await loop.getaddrinfo(name, std::nullopt, options)) {
        resolved.answers.push_back(one.address.host());
        resolved.canonical += one.canonical_name;
      }
    }
  } catch (const std::exception&) {
    resolved.error = error_text(std::current_exception());
  }
  co_return resolved;
}

std::string as_json(const std::string& name, const Resolved& resolved, bool reverse) {
  std::string json = "{\"name\": " + json_text(name);
  if (!resolved.error.empty()) {
    return json + ", \"error\": " + json_text(resolved.error) + '}';
  }
  json +=
      reverse ? ", \"names\": [" : ", \"canonical\": " + json_text(resolved.canonical) + ", \"addresses\": [";
  for (std::size_t i = 0; i != resolved.answers.size(); ++i) {
    json += (i != 0 ? ", " : "") + json_text(resolved.answers[i]);
  }
  return json + "]}";
}

}  // namespace

weir::Address parse_name_server(std::string_view text) {
  if (const auto plain = weir::Address::parse(text, 0)) {
    return *plain;
  }
  const bool bracketed = text.starts_with('[');
  const std::size_t end = bracketed ? text.find(']') : text.rfind(':');
  if (end != std::string_view::npos) {
    const std::string_view host = bracketed ? text.substr(1, end - 1) : text.substr(0, end);
    std::string_view after = text.substr(end + (bracketed ? 1 : 0));
    std::uint16_t port = 0;
    if (after.starts_with(':')) {
      after.remove_prefix(1);
      const auto [stop, error] = std::from_chars(after.data(), after.data() + after.size(), port);
      const auto address = weir::Address::parse(host, port);
      if (error == std::errc() && stop == after.data() + after.size() && port != 0 && address &&
          bracketed == (address->family() == weir::AddressFamily::inet6)) {
        return *address;
      }
    }
  }
  throw std::invalid_argument("write a numeric address, and a port if it is not 53: 192.0.2.1, [::1]:5353");
}

weir::Coro<int> resolve(const ResolvePlan& plan) {
  weir::EventLoop& loop = weir::get_running_loop();
  weir::ResolverOptions options{.total_timeout = plan.timeout};
  if (!plan.servers.empty()) {
    options.servers = plan.servers;
    options.hosts_file = "";  // the question is what the servers know
  }
  loop.set_resolver_options(options);
  std::vector<weir::Task<Resolved>> tasks;
  for (const std::string& name : plan.names) {
    tasks.push_back(loop.create_task(resolve_one(loop, name, plan.reverse)));
  }
  int status = 0;
  for (std::size_t i = 0; i != tasks.size(); ++i) {
    const Resolved resolved = co_await tasks[i];
    if (plan.json) {
      std::printf("%s%s", i == 0 ? "[" : ",\n ", as_json(plan.names[i], resolved, plan.reverse).c_str());
    } else if (resolved.error.empty()) {
      for (const std::string& answer : resolved.answers) {
        std::printf("%s %s\n", plan.names[i].c_str(), answer.c_str());
      }
    } else {
      std::fprintf(stderr, "weir resolve: %s\n", resolved.error.c_str());
    }
    status = resolved.error.empty() ? status : 1;
  }
  if (plan.json) {
    std::puts("]");
  }
  co_return status;
}

}  // namespace program
