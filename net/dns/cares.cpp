// The glue between c-ares and the loop: sockets become watchers, its next time-out a timer, its callbacks
// completed futures.
#include "net/dns/cares.hpp"

#include "net/os_error.hpp"
#include "runtime/loop_access.hpp"

#include <ares.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// Belongs to c-ares until its callback, which c-ares promises to call exactly once.
struct Channel::Query {
  Channel* channel;
  Future<Answer> future;
};

namespace {

int clamped_milliseconds(Duration duration) {
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return static_cast<int>(std::clamp<std::int64_t>(count, 1, INT_MAX));
}

Answer failed(int status) {
  Answer answer;
  answer.reason = ares_strerror(status);
  switch (status) {
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
      answer.code = make_error_code(ResolverErrc::not_found);
      break;
    case ARES_ENODATA:
      answer.code = make_error_code(ResolverErrc::no_data);
      break;
    case ARES_EFORMERR:
    case ARES_EBADRESP:
    case ARES_EBADSTR:
      answer.code = make_error_code(ResolverErrc::failure);
      break;
    default:
      answer.code = make_error_code(ResolverErrc::temporary_failure);
      break;
  }
  return answer;
}

// Nothing for a family that weir does not know.
std::optional<Address> read_address(int family, const void* ip, std::uint32_t scope) noexcept {
  RawAddress raw;
  if (family == AF_INET) {
    raw.family = AddressFamily::inet;
    std::memcpy(raw.ip.data(), ip, sizeof(in_addr));
  } else if (family == AF_INET6) {
    raw.family = AddressFamily::inet6;
    raw.scope_id = scope;
    std::memcpy(raw.ip.data(), ip, sizeof(in6_addr));
  } else {
    return std::nullopt;
  }
  return Address(raw);
}

std::optional<Address> read_address(const sockaddr& address) noexcept {
  if (address.sa_family == AF_INET) {
    return read_address(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, 0);
  }
  const auto& inet6 = reinterpret_cast<const sockaddr_in6&>(address);
  return read_address(address.sa_family, &inet6.sin6_addr, inet6.sin6_scope_id);
}

Answer read_answer(const ares_addrinfo& result) {
  Answer answer;
  for (const ares_addrinfo_node* node = result.nodes; node != nullptr; node = node->ai_next) {
    if (const std::optional<Address> address = read_address(*node->ai_addr)) {
      answer.addresses.push_back(*address);
    }
  }
  if (result.name != nullptr) {
    answer.name = result.name;
  }
  for (const ares_addrinfo_cname* alias = result.cnames; alias != nullptr; alias = alias->next) {
    if (alias->name != nullptr) {
      answer.name = alias->name;  // the last of the chain is the canonical one
    }
  }
  return answer;
}

void set_servers(ares_channel channel, const std::vector<Address>& servers) {
  std::vector<ares_addr_port_node> nodes(servers.size());
  for (std::size_t i = 0; i != servers.size(); ++i) {
    const RawAddress& raw = servers[i].raw();
    ares_addr_port_node& node = nodes[i];
    node.next = i + 1 != nodes.size() ? &nodes[i + 1] : nullptr;
    node.family = raw.family == AddressFamily::inet ? AF_INET : AF_INET6;
    node.udp_port = node.tcp_port = raw.port;
    std::memcpy(&node.addr, raw.ip.data(), raw.family == AddressFamily::inet ? 4 : 16);
  }
  if (const int status = ares_set_servers_ports(channel, nodes.data()); status != ARES_SUCCESS) {
    throw os_error(-EINVAL, std::string("resolver: the name servers are refused: ") + ares_strerror(status));
  }
}

}  // namespace

Channel::Channel(EventLoop& loop, const ChannelSettings& settings) : loop_(&loop) {
  static const int library = ares_library_init(ARES_LIB_INIT_ALL);
  if (library != ARES_SUCCESS) {
    throw os_error(-ENOMEM, std::string("resolver: ") + ares_strerror(library));
  }
  ares_options options{};
  int given = ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF;
  options.sock_state_cb_data = this;
  options.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) noexcept {
    static_cast<Channel*>(self)->socket_changed(socket, readable != 0, writable != 0);
  };
  char servers_only[] = "b";  // the hosts file is ours, so that it is the same on every backend
  options.lookups = servers_only;
  std::string resolv_conf = settings.resolv_conf;
  options.resolvconf_path = resolv_conf.data();
  if (settings.timeout) {
    options.timeout = clamped_milliseconds(*settings.timeout);
    given |= ARES_OPT_TIMEOUTMS;
  }
  if (settings.tries) {
    options.tries = *settings.tries;
    given |= ARES_OPT_TRIES;
  }
  if (settings.ndots) {
    options.ndots = *settings.ndots;
    given |= ARES_OPT_NDOTS;
  }
  std::vector<std::string> search = settings.search.value_or(std::vector<std::string>());
  std::vector<char*> domains;
  std::transform(search.begin(), search.end(), std::back_inserter(domains),
                 [](std::string& domain) { return domain.data(); });
  if (settings.search) {
    options.domains = domains.data();
    options.ndomains = static_cast<int>(domains.size());
    given |= ARES_OPT_DOMAINS;
  }
  if (const int status = ares_init_options(&channel_, &options, given); status != ARES_SUCCESS) {
    throw os_error(-ENOMEM, std::string("resolver: ") + ares_strerror(status));
  }
  if (!settings.servers.empty()) {
    try {
      set_servers(channel_, settings.servers);
    } catch (...) {
      ares_destroy(channel_);
      throw;
    }
  }
}

Channel::~Channel() {
  timer_.cancel();
  ares_destroy(channel_);
}

void Channel::leave() noexcept {
  if (--waiting_ == 0 && under_way_ != 0 && !LoopAccess::is_closing(*loop_)) {
    ares_cancel(channel_);
    set_timer();
  }
}

Future<Answer> Channel::ask_addresses(const std::string& name, AddressFamily family) {
  Future<Answer> future = loop_->create_future<Answer>();
  ares_addrinfo_hints hints{};
  hints.ai_family = family == AddressFamily::inet    ? AF_INET
                    : family == AddressFamily::inet6 ? AF_INET6
                                                     : AF_UNSPEC;
  hints.ai_flags = ARES_AI_NOSORT | ARES_AI_CANONNAME;
  auto query = std::make_unique<Query>(Query{this, future});
  ++under_way_;
  ares_getaddrinfo(
      channel_, name.c_str(), nullptr, &hints,
      [](void* argument, int status, int, ares_addrinfo* result) noexcept {
        const std::unique_ptr<Query> asked(static_cast<Query*>(argument));
        try {
          finish(*asked, status == ARES_SUCCESS && result != nullptr ? read_answer(*result) : failed(status));
        } catch (...) {
          finish(*asked, Answer{std::make_error_code(std::errc::not_enough_memory), {}, {}, {}});
        }
        ares_freeaddrinfo(result);
      },
      query.release());
  set_timer();
  return future;
}

Future<Answer> Channel::ask_name(const Address& address) {
  Future<Answer> future = loop_->create_future<Answer>();
  const RawAddress& raw = address.raw();
  sockaddr_in inet{};
  inet.sin_family = AF_INET;
  std::memcpy(&inet.sin_addr, raw.ip.data(), sizeof inet.sin_addr);
  sockaddr_in6 inet6{};
  inet6.sin6_family = AF_INET6;
  std::memcpy(&inet6.sin6_addr, raw.ip.data(), sizeof inet6.sin6_addr);
  const bool is_inet = raw.family == AddressFamily::inet;
  auto query = std::make_unique<Query>(Query{this, future});
  ++under_way_;
  ares_getnameinfo(
      channel_, is_inet ? reinterpret_cast<sockaddr*>(&inet) : reinterpret_cast<sockaddr*>(&inet6),
      is_inet ? sizeof inet : sizeof inet6, ARES_NI_LOOKUPHOST | ARES_NI_NAMEREQD,
      [](void* argument, int status, int, char* name, char*) noexcept {
        const std::unique_ptr<Query> asked(static_cast<Query*>(argument));
        try {
          Answer answer;
          if (status == ARES_SUCCESS && name != nullptr) {
            answer.name = name;
          } else {
            answer = failed(status != ARES_SUCCESS ? status : ARES_ENOTFOUND);
          }
          finish(*asked, std::move(answer));
        } catch (...) {
          finish(*asked, Answer{std::make_error_code(std::errc::not_enough_memory), {}, {}, {}});
        }
      },
      query.release());
  set_timer();
  return future;
}

// Whoever does not wait any more has completed or cancelled the future.
void Channel::finish(Query& query, Answer answer) noexcept {
  --query.channel->under_way_;
  if (!query.future.done() && !LoopAccess::is_closing(*query.channel->loop_)) {
    query.future.set_result(std::move(answer));
  }
}

void Channel::socket_changed(native_socket descriptor, bool readable, bool writable) noexcept {
  try {
    const auto found = sockets_.try_emplace(descriptor).first;
    watch(found->second[0], descriptor, Direction::read, readable);
    watch(found->second[1], descriptor, Direction::write, writable);
    if (!readable && !writable) {
      sockets_.erase(found);
    }
  } catch (...) {
    // Without a watcher the server seems to be silent, and c-ares does what it does about that.
  }
}

void Channel::watch(Ref<Watcher>& watcher, native_socket descriptor, Direction direction, bool wanted) {
  if (wanted == (watcher != nullptr)) {
    return;
  }
  if (const Ref<Watcher> old = std::exchange(watcher, nullptr)) {
    old->end();
    return;
  }
  auto made = make_ref<Watcher>(
      *loop_, direction, Callback([this, descriptor, direction] { socket_ready(descriptor, direction); }),
      Context());
  if (made->begin(descriptor) == 0) {
    watcher = std::move(made);
  }
}

void Channel::socket_ready(native_socket descriptor, Direction direction) noexcept {
  ares_process_fd(channel_, direction == Direction::read ? descriptor : ARES_SOCKET_BAD,
                  direction == Direction::write ? descriptor : ARES_SOCKET_BAD);
  set_timer();
}

void Channel::set_timer() noexcept {
  timer_.cancel();
  timeval left{};
  if (under_way_ == 0 || ares_timeout(channel_, nullptr, &left) == nullptr) {
    return;
  }
  // One millisecond more, because c-ares compares to the microsecond what it gives as rounded down.
  const Duration wait = std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec) +
                        std::chrono::milliseconds(1);
  try {
    timer_ = LoopAccess::call_at_plain(*loop_, loop_->time() + wait, Callback([this] {
      ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      set_timer();
    }));
  } catch (...) {
    // No memory for a timer: the look-up's own limit, made before, still ends it.
  }
}

}  // namespace weir::inline WEIR_ABI::detail
