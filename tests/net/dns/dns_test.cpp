// The comparison with getaddrinfo(3), and other helpers.
#include "tests/net/dns/dns_test.hpp"

#include "tests/support/system.hpp"

#ifdef _WIN32
// clang-format off
#include <winsock2.h>
#include <ws2tcpip.h>
// clang-format on
#else
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#endif

#include <cstring>
#include <filesystem>
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

// The system's codes for an error, the first of which says most.
#ifdef _WIN32
constexpr int again = WSATRY_AGAIN, no_name = WSAHOST_NOT_FOUND, no_data = WSANO_DATA,
              bad_family = WSAEAFNOSUPPORT, bad_type = WSAESOCKTNOSUPPORT, no_service = WSATYPE_NOT_FOUND,
              bad_flags = WSAEINVAL, failed = WSANO_RECOVERY, other_family = no_name;
#else
constexpr int again = EAI_AGAIN, no_name = EAI_NONAME, bad_family = EAI_FAMILY, bad_type = EAI_SOCKTYPE,
              no_service = EAI_SERVICE, bad_flags = EAI_BADFLAGS, failed = EAI_FAIL;
constexpr int no_data = -5, other_family = -9;  // EAI_NODATA and EAI_ADDRFAMILY, glibc's own
#endif

int system_code(const std::error_code& code) {
  CHECK(code.category() == resolver_category());
  switch (static_cast<ResolverErrc>(code.value())) {
    case ResolverErrc::temporary_failure:
      return again;
    case ResolverErrc::not_found:
      return no_name;
    case ResolverErrc::no_data:
      return no_data;
    case ResolverErrc::address_family:
      return other_family;
    case ResolverErrc::family:
      return bad_family;
    case ResolverErrc::socket_type:
      return bad_type;
    case ResolverErrc::service:
      return no_service;
    case ResolverErrc::bad_flags:
      return bad_flags;
    case ResolverErrc::failure:
      return failed;
  }
  return 0;
}

Outcome refused_with(const std::error_code& code) { return {"error " + std::to_string(system_code(code))}; }

#ifdef _WIN32
constexpr bool is_windows = true;
// Wine hands on what glibc says and Windows has no word for.
int known_code(int code) { return code == -9 ? other_family : code; }
void start_sockets() {
  WSADATA about{};
  static const int error = ::WSAStartup(MAKEWORD(2, 2), &about);  // for the simulator, which does without
  REQUIRE(error == 0);
}
#else
constexpr bool is_windows = false;
int known_code(int code) { return code; }
void start_sockets() {}
#endif

struct SystemKind {
  int type;
  int proto;
};
constexpr SystemKind kinds[] = {{SOCK_STREAM, IPPROTO_TCP}, {SOCK_DGRAM, IPPROTO_UDP}};

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
  start_sockets();
  addrinfo* first = nullptr;
  const int code = ::getaddrinfo(question.host ? question.host->c_str() : nullptr,
                                 question.service ? question.service->c_str() : nullptr, &hints, &first);
  if (code != 0) {
    return {"error " + std::to_string(known_code(code))};
  }
  Outcome outcome;
  for (const addrinfo* one = first; one != nullptr; one = one->ai_next) {
    for (const SystemKind& kind : kinds) {
      // Windows leaves open what the question left open, instead of one answer for each.
      const bool fits_question = (hints.ai_socktype == 0 || hints.ai_socktype == kind.type) &&
                                 (hints.ai_protocol == 0 || hints.ai_protocol == kind.proto);
      const bool is_open = is_windows && one->ai_socktype == 0 && fits_question;
      if (is_open || one->ai_socktype == kind.type) {
        const int proto = is_windows && one->ai_protocol == 0 ? kind.proto : one->ai_protocol;
        outcome.insert(line(kind.type == SOCK_STREAM, proto, read(*one)));
      }
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
    outcome = refused_with(error.code());
  }
  co_return outcome;
}

Outcome refusal(ResolverErrc code) { return refused_with(make_error_code(code)); }

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

TemporaryFile::TemporaryFile(std::string_view text) : folder_(make_scratch_folder("weir-dns-")) {
  const std::u8string path = (folder_ / "file").u8string();
  path_.assign(path.begin(), path.end());
  replace(text);
}

TemporaryFile::~TemporaryFile() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void TemporaryFile::replace(std::string_view text) const {
  std::ofstream(folder_ / "new", std::ios::binary) << text;
  std::filesystem::rename(folder_ / "new", folder_ / "file");
}

void TemporaryFile::remove() const { std::filesystem::remove(folder_ / "file"); }

}  // namespace weir::testing
