// The verbs of the program, one function each. Each is a coroutine that gives the exit status; errors that
// end the verb are thrown. The options must live until it ends.
#pragma once

#include "tools/weir/endpoint.hpp"
#include "tools/weir/serving.hpp"
#include "tools/weir/tls.hpp"

#include <weir/coro.hpp>
#include <weir/net/address.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace program {

enum class EchoApi : std::uint8_t { protocol, buffered, sock, streams };

// Sends back what it receives (RFC 862).
weir::Coro<int> echo(const Serving& serving, EchoApi api);
// The same with the coroutines sock_accept, sock_recv_into and sock_sendall.
weir::Coro<void> echo_by_coroutines(weir::EventLoop& loop, const Serving& serving);

// Reads and drops (RFC 863).
weir::Coro<int> discard(const Serving& serving);

struct RelayPlan {
  Endpoint target;
  ConnectingTls tls;
  // Of a client of datagrams; of a tls:// target whose client sends no more.
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(60);
};

// Passes what comes in on to the target, and back.
weir::Coro<int> relay(const Serving& serving, const RelayPlan& plan);
// The same for udp:// addresses.
weir::Coro<void> relay_datagrams(const Serving& serving, const RelayPlan& plan);

struct ServePlan {
  std::string folder;
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(60);
};

// Gives the files of a folder away over HTTP/1.1.
weir::Coro<int> serve(const Serving& serving, const ServePlan& plan);

struct ConnectPlan {
  Endpoint target;
  ConnectingTls tls;
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);  // to connect
  std::chrono::nanoseconds linger = std::chrono::seconds(1);    // by udp and tls, after the end of the input
};

// Sends standard input to a server and writes what it answers, until the server ends.
weir::Coro<int> connect(const ConnectPlan& plan);
// The same for a udp:// address: until the input has ended and nothing has come for a while.
weir::Coro<void> connect_datagrams(weir::EventLoop& loop, const ConnectPlan& plan);

struct PingPlan {
  Endpoint target;
  ConnectingTls tls;
  std::size_t count = 1000;                                     // round trips in all
  std::size_t size = 64;                                        // bytes of each
  std::size_t connections = 1;                                  // that share the round trips
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);  // to connect, and for something to arrive
};

// Measures round trips to a server that echoes.
weir::Coro<int> ping(const PingPlan& plan);

struct ResolvePlan {
  std::vector<std::string> names;
  std::vector<weir::Address> servers;  // empty: those of the machine
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
  bool reverse = false;  // the names are addresses
  bool json = false;
};

// Prints the addresses of names, or the names of addresses.
weir::Coro<int> resolve(const ResolvePlan& plan);
// Reads "192.0.2.1", "192.0.2.1:5353", "::1" or "[::1]:5353". Throws std::invalid_argument that says how to
// write it.
weir::Address parse_name_server(std::string_view text);

struct CertPlan {
  std::string folder;
  std::string authority_name = "weir's local authority";
  std::vector<std::vector<std::string>> hosts;  // a certificate each
  std::chrono::hours valid_for{24 * 365};
  bool force = false;  // replace what is there
};

// Makes certificates, and the authority that vouches for them. Needs no loop.
int cert(const CertPlan& plan);

struct ExecPlan {
  std::vector<std::string> command;
  std::chrono::nanoseconds timeout{0};  // 0: as long as it likes
  bool pty = false;
  bool json = false;
};

// Runs a program with its output passed on: its exit status, or 128 and the signal that killed it.
weir::Coro<int> exec(const ExecPlan& plan);

// Prints what this weir is and can. Needs no loop.
int info();

}  // namespace program
