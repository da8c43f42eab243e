// Resolver: what a loop knows about resolving names: its options, the tables of its files and its channel.
#pragma once

#include "net/dns/cares.hpp"
#include "net/dns/tables.hpp"

#include <weir/net/resolver.hpp>

#include <memory>

namespace weir::inline WEIR_ABI::detail {

class Resolver {
 public:
  // Throws std::invalid_argument for options that make no sense.
  Resolver(EventLoop& loop, const ResolverOptions& options);
  // That of the loop, made on first use.
  static Resolver& of(EventLoop& loop);

  const HostsTable& hosts() { return hosts_.get(); }
  const ServicesTable& services() { return services_.get(); }
  Duration total_timeout() const noexcept { return total_timeout_; }
  // The channel for a look-up that begins now: a new one when resolv_conf, or what Windows has instead, has
  // changed. Whoever waits for an answer of an older one keeps that alive.
  std::shared_ptr<Channel> channel();

 private:
  EventLoop* loop_;
  ChannelSettings settings_;
  Duration total_timeout_;
  FileTable<HostsTable> hosts_;
  FileTable<ServicesTable> services_;
  std::shared_ptr<Channel> channel_;
  FileStamp stamp_;  // that of resolv_conf when the channel was made
};

}  // namespace weir::inline WEIR_ABI::detail
