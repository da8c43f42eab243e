// The load generator's work on connections that stay: each has D messages of S bytes in flight. The
// connections are there before the clock starts.
//
// A Channel is one of them, in the clear or by TLS:
//   int descriptor() const
//   std::size_t send(const char* data, std::size_t size)     less than all: it has to wait
//   std::size_t receive(char* data, std::size_t size)        0: it has to wait
//   bool has_more() const                                    has it read what was not received yet?
#pragma once

#include "bench/echo/load_connections.hpp"

#include <deque>
#include <utility>

namespace bench {

template <class Channel>
class InFlightLoad {
 public:
  // `open(descriptor)` makes a Channel of a connection that blocks.
  template <class Open>
  InFlightLoad(const Plan& plan, Open&& open)
      : plan_(plan), message_(make_message(plan.size)), input_(std::size_t{256} * 1024), run_(plan) {
    Connector connector(plan.port);
    connections_.reserve(plan.connections);
    for (std::size_t i = 0; i != plan.connections; ++i) {
      const int descriptor = connector.connect();
      set_no_delay(descriptor);
      connections_.push_back({.channel = open(descriptor)});
      ::fcntl(descriptor, F_SETFL, O_NONBLOCK);
      poller_.add(descriptor, i);
    }
  }

  void run() {
    run_.start();
    for (std::size_t i = 0; i != connections_.size(); ++i) {
      for (std::size_t j = 0; j != plan_.depth; ++j) {
        begin(connections_[i]);
      }
      send(i);
    }
    poller_.wait_until_over(run_, [this](std::size_t index, std::uint32_t events) {
      if ((events & ~std::uint32_t{EPOLLOUT}) != 0) {
        receive(connections_[index]);
      }
      send(index);
    });
    run_.print();
  }

 private:
  struct Connection {
    Channel channel;
    std::size_t unsent = 0;   // bytes of begun messages that were not taken yet
    std::size_t partial = 0;  // bytes of an answer that has not arrived whole
    bool watches_writing = false;
    std::deque<std::int64_t> begun = {};  // of each message in flight
  };

  void begin(Connection& connection) {
    if (run_.begin()) {
      connection.unsent += plan_.size;
      connection.begun.push_back(now());
    }
  }
  void complete(Connection& connection) {
    run_.complete(connection.begun.front());
    connection.begun.pop_front();
    begin(connection);
  }
  // What is left of a message begins where it stopped: messages are all the same.
  void send(std::size_t index) {
    Connection& connection = connections_[index];
    bool is_full = false;
    while (connection.unsent != 0 && !is_full) {
      const std::size_t rest = (connection.unsent - 1) % plan_.size + 1;
      const std::size_t sent = connection.channel.send(message_.data() + (plan_.size - rest), rest);
      connection.unsent -= sent;
      is_full = sent != rest;
      if (plan_.work == Work::one_way && !is_full) {
        complete(connection);
      }
    }
    if (connection.watches_writing != is_full) {
      connection.watches_writing = is_full;
      poller_.watch_writing(connection.channel.descriptor(), index, is_full);
    }
  }
  void receive(Connection& connection) {
    do {
      const std::size_t count = connection.channel.receive(input_.data(), input_.size());
      if (count == 0) {
        return;
      }
      // A look at the first byte is cheap, and finds answers that are shifted.
      if (input_[0] != message_[connection.partial]) {
        fail("a wrong byte came back");
      }
      connection.partial += count;
      while (connection.partial >= plan_.size) {
        connection.partial -= plan_.size;
        complete(connection);
      }
    } while (connection.channel.has_more());
  }

  const Plan plan_;
  Poller poller_;
  std::vector<Connection> connections_;
  std::vector<char> message_;
  std::vector<char> input_;
  Run run_;
};

}  // namespace bench
