// TlsTransport: a transport of decrypted bytes, on another transport that carries the encrypted ones. An
// engine does the encrypting; TlsBelow is the protocol through which the transport below calls. Making and
// ending: transport.cpp; reading and writing: transport_data.cpp.
#pragma once

#include "net/flow_limits.hpp"
#include "net/tls/engine.hpp"
#include "net/tls/plan.hpp"

#include <weir/context.hpp>
#include <weir/event_loop.hpp>
#include <weir/future.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/transport.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class TlsTransport;

// Keeps its TlsTransport until the transport below is done with both.
class TlsBelow final : public Protocol {
 public:
  explicit TlsBelow(Ref<TlsTransport> transport) noexcept : transport_(std::move(transport)) {}
  TlsTransport& transport() const noexcept { return *transport_; }

  void connection_made(Ref<Transport> below) override;
  void data_received(std::span<const std::byte> data) override;
  bool eof_received() override;
  void pause_writing() override;
  void resume_writing() override;
  void connection_lost(std::exception_ptr error) override;

 protected:
  ~TlsBelow() override;

 private:
  Ref<TlsTransport> transport_;
};

class TlsTransport final : public Transport {
 public:
  // `upgraded`: the protocol has had its connection_made.
  TlsTransport(EventLoop& loop, Ref<BaseProtocol> protocol, const TlsPlan& plan, Context context,
               bool upgraded);

  // The handshake begins on this transport, and ends at the deadline at the latest.
  void start(Ref<Transport> below);
  void set_deadline(TimePoint deadline) noexcept { deadline_ = deadline; }
  // Done when the handshake is over. Only one may wait, and from before its end.
  Future<void> handshaken();

  // What the transport below calls.
  void feed(std::span<const std::byte> data);
  void below_ended();
  void below_pauses();
  void below_resumes();
  void below_lost(std::exception_ptr error) noexcept;
  // Nothing calls any more: lets go of everybody.
  void let_go() noexcept;

  void close() noexcept override;
  bool is_closing() const noexcept override { return state_ >= State::closing; }
  void set_protocol(Ref<BaseProtocol> protocol) override;
  Ref<BaseProtocol> get_protocol() const noexcept override { return protocol_; }
  EventLoop& get_loop() const noexcept override { return *loop_; }
  bool is_reading() const noexcept override { return !is_closing() && !reading_paused_; }
  void pause_reading() override;
  void resume_reading() override;
  void write(std::span<const std::byte> data) override;
  void writelines(std::span<const std::span<const std::byte>> pieces) override;
  void abort() noexcept override;
  std::size_t get_write_buffer_size() const noexcept override;
  WriteBufferLimits get_write_buffer_limits() const noexcept override;
  void set_write_buffer_limits(std::optional<std::ptrdiff_t> high,
                               std::optional<std::ptrdiff_t> low) override;

  // Can another TLS be put on it?
  bool can_carry() const noexcept { return state_ == State::open && !sending_file_; }

  // The writing side for a sendfile() alone. check_file() throws RuntimeError when it cannot be had.
  void check_file() const;
  void begin_file();
  void end_file() noexcept { sending_file_ = false; }
  void write_file(std::span<const std::byte> data);
  // When there is room to write on, or the connection is lost; null when there is.
  std::optional<Future<void>> room();

 private:
  // What is above `open` may not be written to.
  enum class State : std::uint8_t { idle, handshaking, open, closing, over };
  class Output;

  ~TlsTransport() override;
  void find_extra_info(std::string_view key, void* value) const override;
  std::string describe() const;

  // Making.
  void go_on();
  bool shake_hands();
  void handshake_done();
  void call_connection_made() noexcept;
  void handshake_late() noexcept;

  // Reading.
  void read_all();
  bool read_some();
  std::size_t decrypt(std::span<std::byte> into, TlsEngine::Status& status) noexcept;
  std::size_t decrypt_and_answer(std::span<std::byte> into, TlsEngine::Status& status);
  bool deliver(const Ref<BaseProtocol>& protocol, std::span<const std::byte> data) noexcept;
  std::span<std::byte> lend_buffer(const Ref<BaseProtocol>& protocol) noexcept;
  bool filled(const Ref<BaseProtocol>& protocol, std::size_t count) noexcept;
  void discard_all();
  void hold_unread();
  void read_held_later();
  static void run_held(void* self, std::uintptr_t, std::uintptr_t, ReadyAction action);

  // Writing.
  bool may_write(const char* call, std::size_t size);
  void encrypt(std::span<const std::byte> data);
  void lost_below() noexcept;
  void report_pause() noexcept;

  // Ending.
  void peer_closed();
  void shut_down() noexcept;
  void limit_shutdown();
  void shutdown_late() noexcept;
  void wait_for_peer();
  // `is_gone`: the peer went away, which is not worth a report of a server.
  void fail(std::exception_ptr error, bool is_gone = false) noexcept;
  void end_below(bool at_once) noexcept;
  void callback_failed(const char* message) noexcept;
  void report(const char* message, std::exception_ptr exception) noexcept;

  EventLoop* loop_;
  Ref<BaseProtocol> protocol_;
  Ref<Transport> below_;
  TlsEngine engine_;
  Context context_;
  std::vector<std::byte> held_;  // encrypted bytes that came while reading was paused
  std::exception_ptr error_;     // what connection_lost will get
  std::optional<Future<void>> handshaken_;
  std::optional<Future<void>> room_;  // of a sendfile() that waits
  TimerHandle timer_;                 // of the handshake, then of the shutdown
  TimePoint deadline_ = TimePoint::max();
  Duration handshake_timeout_;
  Duration shutdown_timeout_;
  std::size_t discarded_ = 0;  // bytes that came after close()
  State state_ = State::idle;
  IgnoredWrites ignored_writes_;
  bool made_;                    // connection_made was called, so connection_lost will be
  bool reading_paused_ = false;  // by the protocol above
  bool writing_paused_ = false;  // the protocol above was told so
  bool below_paused_ = false;    // the transport below has enough
  bool encrypting_ = false;      // pause_writing has to wait: more of the same write is to come
  bool held_is_coming_ = false;  // run_held is scheduled
  bool sending_file_ = false;    // writing belongs to a sendfile()
  bool flushed_ = true;          // while closing: the system has taken everything
};

}  // namespace weir::inline WEIR_ABI::detail
