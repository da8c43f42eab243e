// A program with a planted bug that few seeds show, and its mended twin: `sim_lost_update`, `sim_lost_update
// mended`. docs/testing-with-sim.md tells how to find it.
#include <weir/weir.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

// The bank's side of a connection. Each line is a request, "get", "set N" or "add N", and is answered with
// the balance.
class Bank : public weir::Protocol {
 public:
  explicit Bank(int& balance) : balance_(balance) {}
  void connection_made(weir::Ref<weir::Transport> transport) override { transport_ = std::move(transport); }
  void data_received(std::span<const std::byte> data) override {
    received_ += weir::as_text(data);
    for (std::size_t end = 0; (end = received_.find('\n')) != std::string::npos;) {
      const std::string request = received_.substr(0, end);
      received_.erase(0, end + 1);
      if (request.starts_with("set ")) {
        balance_ = std::atoi(request.c_str() + 4);
      } else if (request.starts_with("add ")) {
        balance_ += std::atoi(request.c_str() + 4);
      }
      transport_->write(std::to_string(balance_) + "\n");
    }
  }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  int& balance_;
  std::string received_;
  weir::Ref<weir::Transport> transport_;
};

// Sends one request and gives the answer.
weir::Coro<int> ask(weir::Socket& bank, std::string request) {
  weir::EventLoop& loop = weir::get_running_loop();
  co_await loop.sock_sendall(bank, request);
  std::string answer;
  while (!answer.ends_with('\n')) {
    const weir::Bytes piece = co_await loop.sock_recv(bank, 100);
    answer += piece.view();
  }
  co_return std::atoi(answer.c_str());
}

weir::Coro<void> deposit(weir::Address address, bool mended) {
  weir::Socket bank = weir::Socket::open(weir::AddressFamily::inet);
  co_await weir::get_running_loop().sock_connect(bank, address);
  co_await weir::sleep(std::chrono::microseconds(weir::sim::draw(50'000)));
  if (mended) {
    std::string request = "add 10\n";
    co_await ask(bank, std::move(request));
  } else {
    std::string request = "get\n";
    const int balance = co_await ask(bank, std::move(request));
    // Whoever deposits between these two lines is forgotten.
    request = "set " + std::to_string(balance + 10) + "\n";
    co_await ask(bank, std::move(request));
  }
}

weir::Coro<int> day(bool mended) {
  int balance = 0;
  auto server = co_await weir::get_running_loop().create_server([&] { return weir::make_ref<Bank>(balance); },
                                                                {.host = "127.0.0.1"});
  const weir::Address address = server->sockets().front().local_address();
  std::vector<weir::Task<void>> customers;
  for (int i = 0; i != 4; ++i) {
    customers.push_back(weir::create_task(deposit(address, mended)));
  }
  for (weir::Task<void>& customer : customers) {
    co_await customer;
  }
  co_await server->aclose();
  co_return balance;
}

int main(int argc, char** argv) {
  const int balance = weir::run(day(argc > 1 && argv[1] == std::string_view("mended")));
  if (balance == 40) {
    return 0;
  }
  std::printf("seed %llu: four deposits of 10 make %d\n", static_cast<unsigned long long>(weir::sim::seed()),
              balance);
  return 1;
}
