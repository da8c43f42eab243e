// NetState: what net/ remembers about one loop: its transports, servers and watched descriptors, so that
// closing the loop closes them.
#pragma once

#include "net/watchers.hpp"
#include "net/write_queue.hpp"
#include "runtime/loop_resource.hpp"

#include <weir/bytes.hpp>
#include <weir/event_loop.hpp>

#include <cstddef>
#include <memory>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class DatagramEndpoint;
class Resolver;
class StreamTransport;
struct ServerState;

// The transports of one kind and one owner, in no particular order. The links are in the transports.
template <class T>
class LinkedList {
 public:
  LinkedList() = default;
  LinkedList(const LinkedList&) = delete;
  LinkedList& operator=(const LinkedList&) = delete;

  T* front() const noexcept { return first_; }
  static T* after(const T& transport) noexcept { return transport.next_; }
  bool empty() const noexcept { return first_ == nullptr; }
  // Counts them.
  std::size_t size() const noexcept {
    std::size_t count = 0;
    for (const T* each = first_; each != nullptr; each = after(*each)) {
      ++count;
    }
    return count;
  }
  void push(T& transport) noexcept {
    transport.previous_ = nullptr;
    transport.next_ = first_;
    if (first_ != nullptr) {
      first_->previous_ = &transport;
    }
    first_ = &transport;
  }
  void erase(T& transport) noexcept {
    (transport.previous_ != nullptr ? transport.previous_->next_ : first_) = transport.next_;
    if (transport.next_ != nullptr) {
      transport.next_->previous_ = transport.previous_;
    }
    transport.previous_ = nullptr;
    transport.next_ = nullptr;
  }

 private:
  T* first_ = nullptr;
};
using TransportList = LinkedList<StreamTransport>;

struct NetState {
  // That of the loop, made on first use.
  static NetState& of(EventLoop& loop);

  explicit NetState(EventLoop& owner) noexcept;
  ~NetState();

  void loop_closed() noexcept;
  // In a child of fork().
  void leave_to_parent() noexcept;

  struct Resource : LoopResource {
    explicit Resource(NetState& owner) noexcept;
    NetState& state;
  };

  EventLoop& loop;
  Resource resource;
  TransportList transports;  // those without a server
  LinkedList<DatagramEndpoint> endpoints;
  ServerState* first_server = nullptr;  // of the list of open ones, and of those that have connections
  std::unique_ptr<WriteQueue> spare;    // so that a write that is taken at once allocates nothing
  Bytes spare_decrypted;                // and neither does a TLS connection that reads or writes
  std::vector<std::byte> spare_encrypted;
  WatchTable watches;
  std::unique_ptr<Resolver> resolver;  // made when a name is first looked up
};

}  // namespace weir::inline WEIR_ABI::detail
