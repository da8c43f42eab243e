// Part of a test double of kqueue(2): one queue and its knotes.
#pragma once

#include <sys/event.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>

namespace kqueue_double {

// Every function that may fail gives an errno, or 0. The table's lock is held around all of them.
class Queue {
 public:
  Queue();
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  int number() const noexcept { return queue_; }  // -1: the system refused it, with errno
  // The number was closed by its owner.
  void forget_number() noexcept { queue_ = -1; }
  // The child of a fork has these descriptors, and no business with what they name.
  void abandon() noexcept;

  int change(const struct kevent& change);
  // Takes what is ready: how many.
  std::size_t collect(std::span<struct kevent> out);
  // This descriptor is about to be closed.
  void closed(int fd) noexcept;

 private:
  using Key = std::pair<std::uintptr_t, short>;
  struct Knote {
    struct kevent event{};
    std::uint32_t serial = 0;
    int pidfd = -1;
    bool is_disabled = false;
    bool is_triggered = false;  // EVFILT_USER
    bool is_armed = false;      // known to epoll
    // To epoll it is ready and to a BSD kernel it is not: epoll tells of changes only.
    bool is_quiet = false;
  };

  int add(const struct kevent& change);
  int modify(Knote& knote, const struct kevent& change);
  int arm(Knote& knote) noexcept;
  void disarm(Knote& knote) noexcept;
  void remove(const Key& key) noexcept;
  void show_triggered() noexcept;
  bool report(Knote& knote, struct kevent& out) noexcept;
  void after_report(const Key& key);
  std::size_t collect_from(int epoll, std::span<struct kevent> out);
  std::size_t collect_triggered(std::span<struct kevent> out);
  int epoll_of(const Knote& knote) const noexcept;

  int queue_ = -1;  // an epoll of the three that follow
  int reads_ = -1, writes_ = -1, triggered_ = -1;
  std::uint32_t serial_ = 0;
  std::map<Key, Knote> knotes_;
};

}  // namespace kqueue_double
