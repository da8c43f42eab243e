// `weir relay` between udp:// addresses: each client has an endpoint of its own towards the target, so that
// the answers find their way back. It lasts as long as anything goes through it.
#include "tools/weir/error_text.hpp"
#include "tools/weir/verbs.hpp"

#include <weir/bytes.hpp>
#include <weir/net/datagram.hpp>
#include <weir/policy.hpp>
#include <weir/tasks.hpp>

#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace program {

namespace {

using weir::Address;
using weir::Ref;

// What anybody may cost who sends from many addresses.
constexpr std::size_t most_clients = 4096;
constexpr std::size_t most_waiting = 16;

class Clients;
class Session;

// Sends, and drops what comes while the system takes no more.
class Side : public weir::DatagramProtocol {
 public:
  void connection_made(Ref<weir::DatagramTransport> transport) override { transport_ = std::move(transport); }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }
  void pause_writing() override { is_full_ = true; }
  void resume_writing() override { is_full_ = false; }
  void send(std::span<const std::byte> data, const Address& to = {}) {
    if (transport_ != nullptr && !is_full_) {
      transport_->sendto(data, to);
    }
  }
  void abort() {
    if (transport_ != nullptr) {
      transport_->abort();
    }
  }

 private:
  Ref<weir::DatagramTransport> transport_;
  bool is_full_ = false;
};

void complain(const Address& client, const std::string& why) {
  std::fprintf(stderr, "weir relay: %s: %s\n", client.to_string().c_str(), why.c_str());
}

// One address on which clients are heard.
class Hearing final : public Side {
 public:
  explicit Hearing(std::shared_ptr<Clients> clients) : clients_(std::move(clients)) {}
  void datagram_received(std::span<const std::byte> data, const Address& from) override;

 private:
  std::shared_ptr<Clients> clients_;
};

// A client's endpoint towards the target.
class Session final : public Side {
 public:
  Session(Ref<Hearing> hearing, const Address& client) : hearing_(std::move(hearing)), client_(client) {}
  void connection_made(Ref<weir::DatagramTransport> transport) override {
    Side::connection_made(std::move(transport));
    is_made_ = true;
    for (const weir::Bytes& data : std::exchange(waiting_, {})) {
      send(data.span());
    }
  }
  void datagram_received(std::span<const std::byte> data, const Address&) override {
    is_used_ = true;
    hearing_->send(data, client_);
  }
  void error_received(const std::system_error& error) override { complain(client_, error.what()); }

  void pass_on(std::span<const std::byte> data) {
    is_used_ = true;
    if (is_made_) {
      send(data);
    } else if (waiting_.size() < most_waiting) {
      waiting_.emplace_back(data);
    }
  }
  bool was_used() { return std::exchange(is_used_, false); }
  const Address& client() const noexcept { return client_; }

 private:
  Ref<Hearing> hearing_;
  Address client_;
  std::vector<weir::Bytes> waiting_;  // what came before the endpoint was made
  bool is_made_ = false;
  bool is_used_ = true;  // since somebody asked
};

// All clients of one relay, shared by what belongs to them: the last may outlive the verb by a turn.
class Clients : public std::enable_shared_from_this<Clients> {
 public:
  Clients(weir::EventLoop& loop, RelayPlan plan) : loop_(loop), plan_(std::move(plan)) {}

  // Null: there are too many.
  Session* find(const Address& client, Hearing& hearing);
  void drop_idle();
  void stop() {
    sweep_.cancel();
    for (const auto& [client, session] : sessions_) {
      session->abort();
    }
    sessions_.clear();
  }

 private:
  static weir::Coro<void> open(std::shared_ptr<Clients> clients, Ref<Session> session);

  weir::EventLoop& loop_;
  RelayPlan plan_;
  std::unordered_map<Address, Ref<Session>> sessions_;
  weir::TimerHandle sweep_;
};

Session* Clients::find(const Address& client, Hearing& hearing) {
  if (const auto found = sessions_.find(client); found != sessions_.end()) {
    return found->second.get();
  }
  if (sessions_.size() == most_clients) {
    return nullptr;
  }
  const Ref<Session> session = weir::make_ref<Session>(Ref<Hearing>(&hearing), client);
  if (sessions_.empty()) {
    drop_idle();
  }
  sessions_.emplace(client, session);
  loop_.create_task(open(shared_from_this(), session));
  return session.get();
}

weir::Coro<void> Clients::open(std::shared_ptr<Clients> clients, Ref<Session> session) {
  try {
    const Endpoint& target = clients->plan_.target;
    const weir::DatagramEndpointOptions options{.remote_host = target.host, .remote_port = target.port};
    const auto factory = [&session] { return session; };
    co_await clients->loop_.create_datagram_endpoint(factory, options);
  } catch (const std::exception&) {
    complain(session->client(), error_text(std::current_exception()));
  }
  if (const auto found = clients->sessions_.find(session->client());
      found == clients->sessions_.end() || found->second != session) {
    session->abort();  // the relay has ended meanwhile
  }
}

// Runs as long as there are clients; whoever was silent from one time to the next has to go.
void Clients::drop_idle() {
  std::erase_if(sessions_, [](const auto& entry) {
    const bool is_idle = !entry.second->was_used();
    if (is_idle) {
      entry.second->abort();
    }
    return is_idle;
  });
  sweep_ = loop_.call_later(plan_.idle_timeout, [this] {
    if (!sessions_.empty()) {
      drop_idle();
    }
  });
}

void Hearing::datagram_received(std::span<const std::byte> data, const Address& from) {
  if (Session* const session = clients_->find(from, *this)) {
    session->pass_on(data);
  }
}

}  // namespace

weir::Coro<void> relay_datagrams(const Serving& serving, const RelayPlan& plan) {
  weir::EventLoop& loop = weir::get_running_loop();
  const auto clients = std::make_shared<Clients>(loop, plan);
  const DatagramFactory factory = [&clients] { return weir::make_ref<Hearing>(clients); };
  const std::function<void()> on_stop = [&clients] { clients->stop(); };
  co_await serve_protocols(loop, serving, {}, on_stop, factory);
}

}  // namespace program
