// Protocols: what a transport calls (asyncio.Protocol and its relatives). Derive from Protocol,
// BufferedProtocol or DatagramProtocol and override what you need. All calls come on the loop's thread. The
// order is connection_made, then data, then at most one eof_received, then exactly one connection_lost;
// nothing is called after that.
#pragma once

#include <weir/config.hpp>
#include <weir/fwd.hpp>
#include <weir/ref.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <system_error>

namespace weir::inline WEIR_ABI {

namespace detail {
enum class ProtocolKind : std::uint8_t { stream, buffered, datagram, subprocess };
}  // namespace detail

// What all protocols have (asyncio.BaseProtocol). A transport keeps its protocol alive until connection_lost
// has returned.
class WEIR_API BaseProtocol : public RefCounted {
 public:
  // The connection is gone (connection_lost). `error` is null when it was closed here or ended cleanly, else
  // the reason: a std::system_error, or what a callback of this protocol threw. An exception thrown here is
  // reported.
  virtual void connection_lost(std::exception_ptr error);
  // The transport's write buffer has grown beyond its high-water mark: stop writing for a while
  // (pause_writing). Called once, from inside the write that did it, after the data was taken over. An
  // exception thrown here is reported.
  virtual void pause_writing();
  // The write buffer has drained to its low-water mark: write on (resume_writing). Called once after each
  // pause_writing, unless the connection is lost first. An exception thrown here is reported.
  virtual void resume_writing();

  // For weir's own rooms.
  detail::ProtocolKind kind() const noexcept { return kind_; }

 protected:
  explicit BaseProtocol(detail::ProtocolKind kind) noexcept : kind_(kind) {}
  ~BaseProtocol() override;

 private:
  const detail::ProtocolKind kind_;
};

// A protocol that is handed what arrived (asyncio.Protocol).
class WEIR_API Protocol : public BaseProtocol {
 public:
  Protocol() noexcept : BaseProtocol(detail::ProtocolKind::stream) {}

  // The connection is there (connection_made). Keep `transport` to write with it, and drop it in
  // connection_lost: until then the two hold each other. An exception thrown here is reported, and the
  // connection goes on.
  virtual void connection_made(Ref<Transport> transport);
  // Bytes have arrived, at least one, in whatever pieces (data_received). The memory is lent until this
  // returns. An exception thrown here is reported and closes the connection with it.
  virtual void data_received(std::span<const std::byte> data);
  // The other side will send nothing more (eof_received). Return true to keep the connection open for
  // writing; false closes it after what is still to be written. Exceptions as in data_received.
  virtual bool eof_received();

 protected:
  ~Protocol() override;
};

// A protocol into whose own memory the system writes (asyncio.BufferedProtocol).
class WEIR_API BufferedProtocol : public BaseProtocol {
 public:
  BufferedProtocol() noexcept : BaseProtocol(detail::ProtocolKind::buffered) {}

  // See Protocol::connection_made.
  virtual void connection_made(Ref<Transport> transport);
  // Where to put what arrives next (get_buffer): any memory of at least one byte that stays in place until
  // buffer_updated or the next get_buffer. `hint` is a good size, in bytes. An empty span, or an exception,
  // is reported and closes the connection with that error.
  virtual std::span<std::byte> get_buffer(std::size_t hint) = 0;
  // The first `count` bytes of that memory were written, at least one (buffer_updated). Exceptions as in
  // get_buffer.
  virtual void buffer_updated(std::size_t count) = 0;
  // See Protocol::eof_received.
  virtual bool eof_received();

 protected:
  ~BufferedProtocol() override;
};

// A protocol that is handed datagrams (asyncio.DatagramProtocol).
class WEIR_API DatagramProtocol : public BaseProtocol {
 public:
  DatagramProtocol() noexcept : BaseProtocol(detail::ProtocolKind::datagram) {}

  // The endpoint is there (connection_made). See Protocol::connection_made.
  virtual void connection_made(Ref<DatagramTransport> transport);
  // A datagram has arrived, which may be empty (datagram_received). `from` is its sender, of family
  // unspecified for a Unix socket without a name. Both are lent until this returns. An exception thrown here
  // is reported; the endpoint goes on, as one sender must not deafen it for all others.
  virtual void datagram_received(std::span<const std::byte> data, const Address& from);
  // Sending or receiving a datagram has failed (error_received): `error` names the call and where it went.
  // The endpoint stays open, and what was to be sent with this call is lost. It may come from inside sendto.
  // Exceptions as in datagram_received.
  virtual void error_received(const std::system_error& error);

 protected:
  ~DatagramProtocol() override;
};

}  // namespace weir::inline WEIR_ABI
