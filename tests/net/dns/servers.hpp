// Name servers to ask: a real dnsmasq, one that never answers, and one that answers what the test says.
#pragma once

#include "tests/net/dns/dns_test.hpp"
#include "tests/net/dns/program.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weir::testing {

// A dnsmasq on 127.0.0.1 and a port that was free, with the given records and none of the machine's. Nothing
// of it outlives the test, even one that is killed.
class Dnsmasq {
 public:
  // `records` are dnsmasq's options, as "--host-record=one.test,192.0.2.1".
  explicit Dnsmasq(std::vector<std::string> records);
  Dnsmasq(const Dnsmasq&) = delete;
  Dnsmasq& operator=(const Dnsmasq&) = delete;

  // Valid from use() on.
  const Address& address() const noexcept { return address_; }
  // Starts it and makes it the loop's server.
  Coro<void> use(EventLoop& loop);
  // How many queries it has logged whose line contains `text`.
  int queries(const std::string& text);

 private:
  // False when it ended at once.
  Coro<bool> start(EventLoop& loop);

  std::vector<std::string> records_;
  Address address_;
  std::string log_;
  std::unique_ptr<Program> keeper_;
  std::optional<Socket> connection_;  // the log comes by it, and its end is that of the server
};

// A UDP socket that hands every query to `reply`, which gives the answers; without `reply` it never answers.
// It is read by the loop.
class ScriptedServer {
 public:
  using Reply = std::function<std::vector<std::string>(const std::string& query)>;
  explicit ScriptedServer(EventLoop& loop, Reply reply = {});
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer();

  const Address& address() const noexcept { return address_; }
  int received() const noexcept { return received_; }

 private:
  EventLoop& loop_;
  Socket socket_;
  Address address_;
  Reply reply_;
  int received_ = 0;
};

// The reply to `query` with this code and nothing in it, and one with an A record for each address.
std::string empty_reply(const std::string& query, int code);
std::string reply_with(const std::string& query, const std::vector<std::string>& ipv4);
// The type that the query asks for: 1 is A, 28 is AAAA.
int type_of(const std::string& query);

}  // namespace weir::testing
