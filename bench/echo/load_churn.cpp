// The load generator's --churn: connections that come and go.
//
// They are closed as clients close: the server sees the end of the stream. A reset (SO_LINGER of 0) would be
// cheaper here, and would have every server measured on how it treats an error.
#include "bench/echo/load_visits.hpp"

#include <cerrno>

namespace bench {

namespace {

class PlainExchange {
 public:
  using Visitor = VisitorBase;

  explicit PlainExchange(const Plan& plan) : answers_(plan.size) {}

  // The message is small enough never to wait. Nobody looks for an answer at once: that would cost a call.
  bool begin(Visitor& visitor) {
    const std::vector<char>& message = answers_.message;
    if (::send(visitor.descriptor, message.data(), message.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(message.size())) {
      give_up("send");
    }
    return false;
  }
  bool go_on(Visitor& visitor) {
    std::vector<char>& input = answers_.input;
    const ssize_t count = ::recv(visitor.descriptor, input.data(), input.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) {
      return false;
    }
    if (count <= 0) {
      fail("the server closed a connection");
    }
    return answers_.take(visitor, static_cast<std::size_t>(count));
  }
  void end(Visitor& visitor) { ::close(visitor.descriptor); }

 private:
  Answers answers_;
};

}  // namespace

void run_churn(const Plan& plan) { VisitLoad<PlainExchange>(plan).run(); }

}  // namespace bench
