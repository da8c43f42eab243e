// DatagramEndpoint: the transport of datagrams, on the operations of the backend. It owns its socket, and
// itself until connection_lost has run. Opening one: datagram.cpp.
#pragma once

#include "net/datagram_queue.hpp"
#include "net/flow_limits.hpp"
#include "net/net_state.hpp"
#include "runtime/loop_access.hpp"

#include <weir/context.hpp>
#include <weir/handle.hpp>
#include <weir/net/datagram.hpp>
#include <weir/net/socket.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace weir::inline WEIR_ABI::detail {

class DatagramEndpoint final : public DatagramTransport, private DatagramStream {
 public:
  // Takes the socket into a transport that nobody has told the protocol of yet. `remote`: where datagrams go
  // when no address is given. Throws, leaving the socket to the caller, std::invalid_argument for a null
  // protocol and what attaching throws.
  static Ref<DatagramEndpoint> make(EventLoop& loop, weir::Socket& socket, std::optional<Address> remote,
                                    Ref<BaseProtocol> protocol, Context context);
  // connection_made, then receiving. Once.
  void begin() noexcept;
  // The loop closes: reports an open transport, closes the socket, and lets go of everybody.
  void loop_closed() noexcept;
  // In a child of fork(): nothing is left that an operation could work on, and nobody is told.
  void leave_to_parent() noexcept;

  void close() noexcept override;
  bool is_closing() const noexcept override { return closing_; }
  void set_protocol(Ref<BaseProtocol> protocol) override;
  Ref<BaseProtocol> get_protocol() const noexcept override { return protocol_; }
  EventLoop& get_loop() const noexcept override { return *loop_; }
  void sendto(std::span<const std::byte> data, const Address& address) override;
  void abort() noexcept override;
  std::size_t get_write_buffer_size() const noexcept override;
  WriteBufferLimits get_write_buffer_limits() const noexcept override { return limits_; }
  void set_write_buffer_limits(std::optional<std::ptrdiff_t> high,
                               std::optional<std::ptrdiff_t> low) override;

 private:
  friend class LinkedList<DatagramEndpoint>;

  DatagramEndpoint(EventLoop& loop, Ref<BaseProtocol> protocol, Context context);
  ~DatagramEndpoint() override;
  void find_extra_info(std::string_view key, void* value) const override;

  Backend& backend() const noexcept { return LoopAccess::backend(*loop_); }
  bool is_over() const noexcept { return handle == nullptr; }
  std::string describe() const;
  DatagramProtocol& protocol() const noexcept { return static_cast<DatagramProtocol&>(*protocol_); }

  // Receiving.
  static void received(DatagramStream& stream, std::span<std::byte> data, const RawAddress& from) noexcept;
  static void receive_failed(DatagramStream& stream, std::int64_t error) noexcept;
  static void receiving_ended(Op& op) noexcept;
  void start_receiving() noexcept;

  // Sending.
  // Where a datagram for this address goes, null for the connected peer. Throws std::invalid_argument.
  const RawAddress* destination(const Address& address) const;
  // Is this the first datagram since whoever runs now began to run?
  bool is_first_of_caller() noexcept;
  void queue(std::span<const std::byte> data, const RawAddress* to);
  void send_queued() noexcept;
  static void run_send_queued(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action);
  // Does the system want to be asked later, without telling when?
  bool is_later(std::int64_t error, const RawAddress* to) const noexcept;
  void retry_later() noexcept;
  static void sent(Op& op) noexcept;
  void after_sending() noexcept;
  void pause_writing_if_full() noexcept;
  void send_failed(std::int64_t error, const RawAddress* to) noexcept;

  // Ending.
  void tell(std::int64_t error, const char* call, const Address& address) noexcept;
  void report(const char* message, std::exception_ptr exception) noexcept;
  void lose(std::exception_ptr error) noexcept;
  static void run_lost(void* object, std::uintptr_t error, std::uintptr_t, ReadyAction action);
  void finish(std::exception_ptr error) noexcept;

  bool closing_ = false;  // close(), or lost
  bool lost_ = false;     // connection_lost is on its way
  bool connected_ = false;
  bool writing_paused_ = false;  // pause_writing was called last
  bool sending_ = false;         // send_queued() runs
  bool flush_queued_ = false;    // and will run in the next turn
  bool retrying_ = false;        // retry_ is set
  IgnoredWrites ignored_writes_;
  native_socket native_ = invalid_socket;
  AddressFamily family_ = AddressFamily::unspecified;
  EventLoop* loop_;
  Ref<BaseProtocol> protocol_;
  std::unique_ptr<DatagramQueue> queue_;  // while something is unsent
  std::uint64_t last_caller_ = ~std::uint64_t{0};
  TimerHandle retry_;
  WriteBufferLimits limits_ = default_write_limits;
  Context context_;
  DatagramEndpoint* previous_ = nullptr;
  DatagramEndpoint* next_ = nullptr;
  std::optional<Address> remote_;
};

}  // namespace weir::inline WEIR_ABI::detail
