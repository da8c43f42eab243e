// Transports: one end of a connection, given to a protocol's connection_made (asyncio.Transport and its
// relatives). All functions are for the loop's thread, throw nothing unless it says so, and may be called
// from any callback.
#pragma once

#include <weir/bytes.hpp>
#include <weir/config.hpp>
#include <weir/fwd.hpp>
#include <weir/net/extra.hpp>
#include <weir/net/protocol.hpp>
#include <weir/ref.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace weir::inline WEIR_ABI {

namespace detail {
class TlsTransport;
}  // namespace detail

// What all transports have (asyncio.BaseTransport). A kind of transport overrides the operations it supports;
// the others throw NotSupportedError, and what asks about them answers that there is nothing. A transport
// keeps itself and its protocol alive until connection_lost has run, and releases the protocol right after.
// When the loop closes first, an open transport is closed and reported as a warning, and connection_lost is
// not called. On a closing or closed loop close() and abort() do nothing.
class WEIR_API BaseTransport : public RefCounted {
  friend class detail::TlsTransport;  // asks the transport below it

 public:
  // Stops reading, sends what is buffered, then closes; connection_lost(nullptr) follows in a later turn
  // (close).
  virtual void close() noexcept = 0;
  // True from close(), abort() or the loss of the connection on (is_closing).
  virtual bool is_closing() const noexcept = 0;
  // A fact about the connection, or nothing when this kind of transport has no such fact (get_extra_info):
  // `transport.get_extra_info<weir::extra::peername>()`. The keys are in <weir/net/extra.hpp>.
  template <class Key>
  std::optional<typename Key::type> get_extra_info() const {
    std::optional<typename Key::type> value;
    find_extra_info(Key::name, &value);
    return value;
  }
  // Directs the calls that follow to another protocol (set_protocol). Throws std::invalid_argument for null
  // and for a protocol of a kind that this transport cannot serve.
  virtual void set_protocol(Ref<BaseProtocol> protocol);
  // The protocol that is called now; null after connection_lost (get_protocol).
  virtual Ref<BaseProtocol> get_protocol() const noexcept = 0;
  // The loop it belongs to.
  virtual EventLoop& get_loop() const noexcept = 0;

 protected:
  ~BaseTransport() override;
  // `value` points to a std::optional of the type of the key of this name, and is left alone when there is no
  // such fact.
  virtual void find_extra_info(std::string_view key, void* value) const;
};

// The marks of flow control, in bytes.
struct WriteBufferLimits {
  std::size_t low;
  std::size_t high;
  friend bool operator==(const WriteBufferLimits&, const WriteBufferLimits&) = default;
};

// A two-way stream of bytes (asyncio.Transport).
class WEIR_API Transport : public BaseTransport {
 public:
  // --- Reading

  // Is it reading: neither paused nor closing (is_reading)?
  virtual bool is_reading() const noexcept { return false; }
  // No data_received until resume_reading(); bytes wait in the system (pause_reading). Again, or when
  // closing: nothing.
  virtual void pause_reading();
  // Reads again (resume_reading). Not paused, or closing: nothing.
  virtual void resume_reading();

  // --- Writing. What is written is sent at once as far as the system takes it; the rest is kept and sent in
  // order. An error of the system is not thrown: the connection is lost with it. After close(), abort() or a
  // loss, writing does nothing, and logs one warning when that goes on. After write_eof() it throws
  // RuntimeError.

  // Sends the bytes (write); they are the caller's again when it returns. Throws std::bad_alloc.
  virtual void write(std::span<const std::byte> data);
  void write(std::string_view text) { write(as_bytes(text)); }
  // Sends the bytes and takes their memory, so that nothing is ever copied.
  virtual void write(Bytes&& data);
  // Sends several pieces in order, by one gathered call as far as the system can (writelines).
  virtual void writelines(std::span<const std::span<const std::byte>> pieces);
  // Can this kind of transport end its writing side alone (can_write_eof)?
  virtual bool can_write_eof() const noexcept { return false; }
  // Sends what is buffered, then ends the writing side; reading goes on (write_eof). Again, or when closing:
  // nothing. Throws NotSupportedError where can_write_eof() is false.
  virtual void write_eof();
  // Drops what is buffered and closes; connection_lost(nullptr) follows in a later turn (abort).
  virtual void abort() noexcept = 0;

  // --- Flow control

  // The bytes that were written and that the system has not taken (get_write_buffer_size).
  virtual std::size_t get_write_buffer_size() const noexcept { return 0; }
  // The marks; 16 KiB and 64 KiB at first (get_write_buffer_limits).
  virtual WriteBufferLimits get_write_buffer_limits() const noexcept { return {}; }
  // Sets the marks, in bytes (set_write_buffer_limits). `low` defaults to a quarter of `high`, `high` to four
  // times `low`, both to the values of a new transport. high = 0 pauses the protocol as soon as anything is
  // buffered. Throws std::invalid_argument unless 0 <= low <= high.
  virtual void set_write_buffer_limits(std::optional<std::ptrdiff_t> high = {},
                                       std::optional<std::ptrdiff_t> low = {});

 protected:
  ~Transport() override;
};

// One end of a way for datagrams (asyncio.DatagramTransport). As for every transport: all functions are for
// the loop's thread and may be called from any callback.
class WEIR_API DatagramTransport : public BaseTransport {
 public:
  // Sends one datagram (sendto), which may be empty; the memory is the caller's again when it returns. The
  // first one that a callback or a task sends leaves at once if the system takes it; those that follow before
  // it gives way leave together, and order is kept. What the system does not take yet is kept, too; other
  // errors are error_received's. The address may be left out where there is a remote address. Throws
  // std::invalid_argument for an address of another family, for none where one is needed, and for another one
  // than the remote address; std::bad_alloc. On a closed endpoint it does nothing, and logs one warning when
  // that goes on.
  virtual void sendto(std::span<const std::byte> data, const Address& address) = 0;
  void sendto(std::span<const std::byte> data) { sendto(data, Address()); }
  void sendto(std::string_view text, const Address& address = Address()) { sendto(as_bytes(text), address); }
  // Drops what is buffered and closes; connection_lost(nullptr) follows in a later turn (abort).
  virtual void abort() noexcept = 0;

  // What is buffered, in bytes: datagrams count with 8 more each, so that empty ones count as well
  // (get_write_buffer_size).
  virtual std::size_t get_write_buffer_size() const noexcept = 0;
  // The marks of flow control, as those of Transport (get_write_buffer_limits, set_write_buffer_limits).
  virtual WriteBufferLimits get_write_buffer_limits() const noexcept = 0;
  virtual void set_write_buffer_limits(std::optional<std::ptrdiff_t> high = {},
                                       std::optional<std::ptrdiff_t> low = {}) = 0;

 protected:
  ~DatagramTransport() override;
};

}  // namespace weir::inline WEIR_ABI
