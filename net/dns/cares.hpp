// Channel: one set of name servers, asked through c-ares on the loop's poller and timers. Its sockets are
// open only while a query is under way. The header of c-ares stays in the source file.
#pragma once

#include "net/watchers.hpp"

#include <weir/event_loop.hpp>
#include <weir/future.hpp>
#include <weir/net/address.hpp>
#include <weir/net/resolver.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>
#include <vector>

struct ares_channeldata;

namespace weir::inline WEIR_ABI::detail {

// What a server is asked by, copied from ResolverOptions.
struct ChannelSettings {
  std::vector<Address> servers;
  std::optional<std::vector<std::string>> search;
  std::optional<int> ndots;
  std::optional<Duration> timeout;
  std::optional<int> tries;
  std::string resolv_conf;
};

// What came of a query.
struct Answer {
  std::error_code code;            // none: the rest is valid
  std::string reason;              // more than the code says, for the text of the exception
  std::vector<Address> addresses;  // without a port
  std::string name;                // the canonical one, or the one of the address that was asked for
};

class Channel {
 public:
  // Throws std::system_error when c-ares cannot be set up.
  Channel(EventLoop& loop, const ChannelSettings& settings);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  // Queries that are still under way end unanswered.
  ~Channel();

  // Each gives a future that is completed with the answer. Cancelling it or completing it drops the answer.
  Future<Answer> ask_addresses(const std::string& name, AddressFamily family);
  Future<Answer> ask_name(const Address& address);

  // Somebody waits for an answer, or does not any more. When nobody is left, what is still under way ends.
  void join() noexcept { ++waiting_; }
  void leave() noexcept;

 private:
  struct Query;
  using Sockets = std::unordered_map<native_socket, std::array<Ref<Watcher>, 2>>;

  // Runs inside c-ares, as everything that calls finish() does: it completes futures, which run nobody's
  // code.
  void socket_changed(native_socket descriptor, bool readable, bool writable) noexcept;
  void watch(Ref<Watcher>& watcher, native_socket descriptor, Direction direction, bool wanted);
  void socket_ready(native_socket descriptor, Direction direction) noexcept;
  void set_timer() noexcept;
  static void finish(Query& query, Answer answer) noexcept;

  EventLoop* loop_;
  ares_channeldata* channel_ = nullptr;
  Sockets sockets_;
  TimerHandle timer_;
  std::size_t under_way_ = 0;
  std::size_t waiting_ = 0;
};

}  // namespace weir::inline WEIR_ABI::detail
