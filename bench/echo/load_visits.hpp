// The load generator's work on connections that come and go: C at a time, each of which is opened, has S
// bytes echoed and is closed.
//
// An Exchange is what happens on one of them, in the clear or by TLS. It has a Visitor of its own:
//   bool begin(Visitor&)    says the message; true when it has come back already
//   bool go_on(Visitor&)    something has come; true when the message is back
//   void end(Visitor&)      closes
#pragma once

#include "bench/echo/load_connections.hpp"

#include <cstring>

namespace bench {

struct VisitorBase {
  int descriptor = -1;
  std::int64_t begun = 0;
  std::size_t received = 0;
};

// What is said, room for what comes back, and a look at whether it is the same.
struct Answers {
  explicit Answers(std::size_t size) : message(make_message(size)), input(size + 1) {}

  // `count` bytes have come: is the message back?
  bool take(VisitorBase& visitor, std::size_t count) const {
    if (visitor.received + count > message.size() ||
        std::memcmp(input.data(), message.data() + visitor.received, count) != 0) {
      fail("a wrong byte came back");
    }
    visitor.received += count;
    return visitor.received == message.size();
  }

  std::vector<char> message;
  std::vector<char> input;
};

constexpr std::uint32_t addresses_of_visitors = 16;

template <class Exchange>
class VisitLoad {
 public:
  explicit VisitLoad(const Plan& plan)
      : exchange_(plan),
        connector_(plan.port, addresses_of_visitors),
        visitors_(plan.connections),
        run_(plan) {}

  void run() {
    run_.start();
    for (std::size_t i = 0; i != visitors_.size(); ++i) {
      open(i);
    }
    poller_.wait_until_over(run_, [this](std::size_t index, std::uint32_t) {
      if (exchange_.go_on(visitors_[index])) {
        complete(visitors_[index]);
        open(index);
      }
    });
    run_.print();
  }

 private:
  void open(std::size_t index) {
    auto& visitor = visitors_[index];
    while (run_.begin()) {
      visitor.begun = now();
      visitor.received = 0;
      visitor.descriptor = connector_.connect();
      if (!exchange_.begin(visitor)) {
        poller_.add(visitor.descriptor, index);
        return;
      }
      complete(visitor);
    }
  }
  void complete(typename Exchange::Visitor& visitor) {
    exchange_.end(visitor);
    run_.complete(visitor.begun);
  }

  Exchange exchange_;
  Connector connector_;
  Poller poller_;
  std::vector<typename Exchange::Visitor> visitors_;
  Run run_;
};

}  // namespace bench
