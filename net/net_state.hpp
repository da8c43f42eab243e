// NetState: what net/ remembers about one loop: its transports, servers and watched descriptors, so that
// closing the loop closes them.
#pragma once

#include "net/watchers.hpp"
#include "net/write_queue.hpp"
#include "runtime/loop_resource.hpp"

#include <weir/event_loop.hpp>

#include <cstddef>
#include <memory>

namespace weir::inline WEIR_ABI::detail {

class Resolver;
class StreamTransport;
struct ServerState;

// The transports of one owner, in no particular order. The links are in the transports.
class TransportList {
 public:
  TransportList() = default;
  TransportList(const TransportList&) = delete;
  TransportList& operator=(const TransportList&) = delete;

  StreamTransport* front() const noexcept { return first_; }
  static StreamTransport* after(const StreamTransport& transport) noexcept;
  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept;  // counts them
  void push(StreamTransport& transport) noexcept;
  void erase(StreamTransport& transport) noexcept;

 private:
  StreamTransport* first_ = nullptr;
};

struct NetState {
  // That of the loop, made on first use.
  static NetState& of(EventLoop& loop);

  explicit NetState(EventLoop& owner) noexcept;
  ~NetState();

  struct Resource : LoopResource {
    explicit Resource(NetState& owner) noexcept;
    NetState& state;
  };

  EventLoop& loop;
  Resource resource;
  TransportList transports;             // those without a server
  ServerState* first_server = nullptr;  // of the list of open ones, and of those that have connections
  std::unique_ptr<WriteQueue> spare;    // so that a write that is taken at once allocates nothing
  WatchTable watches;
  std::unique_ptr<Resolver> resolver;  // made when a name is first looked up
};

}  // namespace weir::inline WEIR_ABI::detail
