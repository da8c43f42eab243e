// The scenario of locks and queues: a shop whose staff share everything; scenarios.cpp lists it among the
// others.
#include "tests/drivers/scenarios.hpp"

#include <weir/weir.hpp>

#include <chrono>
#include <exception>
#include <string>
#include <utility>

namespace weir::testing {

namespace {

using namespace std::chrono_literals;

// Lives in the scenario's own frame, and so longer than the tasks.
struct Shop {
  Event open;
  Barrier staff{3};
  Queue<int> orders{1};
  Semaphore tills{1};
  Lock books;
  Condition booked{books};
  int sum = 0;
};

// Whoever leaves, for whatever reason and be it before its first step, lets nobody wait for it.
class Leaving {
 public:
  explicit Leaving(Shop& shop) : shop_(&shop) {}
  Leaving(Leaving&& other) noexcept : shop_(std::exchange(other.shop_, nullptr)) {}
  Leaving& operator=(Leaving&&) = delete;
  ~Leaving() {
    if (shop_ != nullptr) {
      shop_->staff.abort();
      shop_->orders.shutdown(true);
    }
  }

 private:
  Shop* shop_;
};

struct Done {
  Queue<int>& orders;
  ~Done() { orders.task_done(); }
};

Coro<void> serve(Stage& stage, Shop& shop, [[maybe_unused]] Leaving leaving) {
  const Guard guard(stage.guards);
  co_await shop.open.wait();
  co_await shop.staff.wait();
  for (;;) {
    const int order = co_await shop.orders.get();
    const Done done{shop.orders};
    const SemaphoreGuard till = co_await shop.tills.lock();
    co_await sleep(0s);
    const LockGuard book = co_await shop.books.lock();
    shop.sum += order;
    shop.booked.notify();
  }
}

Coro<void> watch(Stage& stage, Shop& shop) {
  const Guard guard(stage.guards);
  const LockGuard book = co_await shop.booked.lock();
  auto complete = [&shop] { return shop.sum == 10; };
  co_await shop.booked.wait_for(complete);
}

Coro<std::string> order(Stage& stage, Shop& shop) {
  const Guard guard(stage.guards);
  shop.open.set();
  co_await shop.staff.wait();
  for (int number = 1; number != 5; ++number) {
    co_await shop.orders.put(number);
  }
  co_await shop.orders.join();
  co_return "sum " + std::to_string(shop.sum);
}

}  // namespace

Coro<std::string> locks_and_queues(Stage& stage) {
  const Guard guard(stage.guards);
  Shop shop;
  Task<void> watcher = stage.loop.create_task(watch(stage, shop));
  Task<void> first = stage.loop.create_task(serve(stage, shop, Leaving(shop)));
  Task<void> second = stage.loop.create_task(serve(stage, shop, Leaving(shop)));
  std::string result;
  std::exception_ptr error;
  try {
    result = co_await order(stage, shop);
  } catch (...) {
    error = std::current_exception();
  }
  shop.open.set();
  shop.orders.shutdown(true);
  co_await end(watcher);
  co_await end(first);
  co_await end(second);
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  co_return result;
}

}  // namespace weir::testing
