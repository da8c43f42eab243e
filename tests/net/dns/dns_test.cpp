// The comparison with getaddrinfo(3), and other helpers.
#include "tests/net/dns/dns_test.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace weir::testing {

namespace {

int system_family(AddressFamily family) {
  return family == AddressFamily::inet ? AF_INET : family == AddressFamily::inet6 ? AF_INET6 : AF_UNSPEC;
}

int system_flags(AddrInfoFlags flags) {
  int result = 0;
  const auto add = [&](AddrInfoFlags ours, int theirs) { result |= has_flag(flags, ours) ? theirs : 0; };
  add(AddrInfoFlags::passive, AI_PASSIVE);
  add(AddrInfoFlags::canonical_name, AI_CANONNAME);
  add(AddrInfoFlags::numeric_host, AI_NUMERICHOST);
  add(AddrInfoFlags::numeric_service, AI_NUMERICSERV);
  add(AddrInfoFlags::v4_mapped, AI_V4MAPPED);
  add(AddrInfoFlags::all, AI_ALL);
  add(AddrInfoFlags::addr_config, AI_ADDRCONFIG);
  return result;
}

int system_code(const std::error_code& code) {
  CHECK(code.category() == resolver_category());
  switch (static_cast<ResolverErrc>(code.value())) {
    case ResolverErrc::temporary_failure:
      return EAI_AGAIN;
    case ResolverErrc::not_found:
      return EAI_NONAME;
    case ResolverErrc::no_data:
      return -5;  // EAI_NODATA and EAI_ADDRFAMILY are glibc's own
    case ResolverErrc::address_family:
      return -9;
    case ResolverErrc::family:
      return EAI_FAMILY;
    case ResolverErrc::socket_type:
      return EAI_SOCKTYPE;
    case ResolverErrc::service:
      return EAI_SERVICE;
    case ResolverErrc::bad_flags:
      return EAI_BADFLAGS;
    case ResolverErrc::failure:
      return EAI_FAIL;
  }
  return 0;
}

std::string line(bool stream, int proto, const Address& address) {
  return std::string(stream ? "stream " : "datagram ") + std::to_string(proto) + ' ' + address.to_string();
}

Address read(const addrinfo& info) {
  detail::RawAddress raw;
  if (info.ai_family == AF_INET) {
    const auto& inet = *reinterpret_cast<const sockaddr_in*>(info.ai_addr);
    raw.family = AddressFamily::inet;
    raw.port = ntohs(inet.sin_port);
    std::memcpy(raw.ip.data(), &inet.sin_addr, 4);
  } else {
    const auto& inet6 = *reinterpret_cast<const sockaddr_in6*>(info.ai_addr);
    raw.family = AddressFamily::inet6;
    raw.port = ntohs(inet6.sin6_port);
    raw.scope_id = inet6.sin6_scope_id;
    std::memcpy(raw.ip.data(), &inet6.sin6_addr, 16);
  }
  return Address(raw);
}

}  // namespace

std::string describe(const Question& question) {
  return "host " + question.host.value_or("(none)") + ", service " + question.service.value_or("(none)") +
         ", family " + std::to_string(static_cast<int>(question.family)) + ", type " +
         (question.type ? std::to_string(static_cast<int>(*question.type)) : "any") + ", proto " +
         std::to_string(question.proto) + ", flags " + std::to_string(static_cast<unsigned>(question.flags));
}

Outcome ask_system(const Question& question) {
  addrinfo hints{};
  hints.ai_family = system_family(question.family);
  hints.ai_socktype = !question.type ? 0 : *question.type == SocketType::stream ? SOCK_STREAM : SOCK_DGRAM;
  hints.ai_protocol = question.proto;
  hints.ai_flags = system_flags(question.flags);
  addrinfo* first = nullptr;
  const int code = ::getaddrinfo(question.host ? question.host->c_str() : nullptr,
                                 question.service ? question.service->c_str() : nullptr, &hints, &first);
  if (code != 0) {
    return {"error " + std::to_string(code)};
  }
  Outcome outcome;
  for (const addrinfo* one = first; one != nullptr; one = one->ai_next) {
    if (one->ai_socktype != SOCK_RAW) {
      outcome.insert(line(one->ai_socktype == SOCK_STREAM, one->ai_protocol, read(*one)));
    }
    if (one->ai_canonname != nullptr) {
      outcome.insert(std::string("canonical name ") + one->ai_canonname);
    }
  }
  ::freeaddrinfo(first);
  return outcome;
}

Coro<Outcome> ask_weir(EventLoop& loop, Question question) {
  Outcome outcome;
  const std::optional<std::string_view> host =
      question.host ? std::optional<std::string_view>(*question.host) : std::nullopt;
  const ServiceName service = question.service ? ServiceName(*question.service) : ServiceName();
  const AddrInfoOptions options{
      .family = question.family, .type = question.type, .proto = question.proto, .flags = question.flags};
  try {
    for (const AddrInfo& one : co_await loop.getaddrinfo(host, service, options)) {
      CHECK(one.family == one.address.family());
      outcome.insert(line(one.type == SocketType::stream, one.proto, one.address));
      if (!one.canonical_name.empty()) {
        outcome.insert("canonical name " + one.canonical_name);
      }
    }
  } catch (const std::system_error& error) {
    outcome.insert("error " + std::to_string(system_code(error.code())));
  }
  co_return outcome;
}

Coro<void> compare(EventLoop& loop, Question question) {
  INFO(describe(question));
  const Outcome ours = co_await ask_weir(loop, question);
  const Outcome theirs = ask_system(question);
  const auto text = [](const Outcome& outcome) {
    std::string all;
    for (const std::string& one : outcome) {
      all += one + "; ";
    }
    return all;
  };
  CHECK(text(ours) == text(theirs));
}

std::string hosts_of(const std::vector<AddrInfo>& answers) {
  std::multiset<std::string> hosts;
  for (const AddrInfo& one : answers) {
    hosts.insert(one.address.host());
  }
  std::string all;
  for (const std::string& host : hosts) {
    all += (all.empty() ? "" : " ") + host;
  }
  return all;
}

Coro<std::string> lookup(EventLoop& loop, std::string name, AddressFamily family) {
  const AddrInfoOptions options{.family = family, .type = SocketType::stream};
  const std::vector<AddrInfo> answers = co_await loop.getaddrinfo(name, 80, options);
  co_return hosts_of(answers);
}

Coro<std::error_code> lookup_error(EventLoop& loop, std::string name, AddressFamily family) {
  try {
    co_await lookup(loop, name, family);
  } catch (const std::system_error& error) {
    CHECK(std::string_view(error.what()).find(name) != std::string_view::npos);
    co_return error.code();
  }
  co_return std::error_code();
}

Coro<std::string> lacking(EventLoop& loop, std::string name) {
  try {
    co_await lookup(loop, name);
  } catch (const NotSupportedError& error) {
    CHECK(std::string_view(error.what()).find(name) != std::string_view::npos);
    co_return error.capability();
  } catch (const std::system_error&) {
  }
  co_return std::string();
}

TemporaryFile::TemporaryFile(std::string_view text) {
  char path[] = "/tmp/weir-dns-XXXXXX";
  const int descriptor = ::mkstemp(path);
  REQUIRE(descriptor >= 0);
  ::close(descriptor);
  path_ = path;
  replace(text);
}

TemporaryFile::~TemporaryFile() { ::unlink(path_.c_str()); }

void TemporaryFile::replace(std::string_view text) const {
  const std::string fresh = path_ + ".new";
  std::ofstream(fresh, std::ios::binary) << text;
  REQUIRE(std::rename(fresh.c_str(), path_.c_str()) == 0);
}

}  // namespace weir::testing
