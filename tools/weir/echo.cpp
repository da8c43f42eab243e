// `weir echo` with protocols, and with the streams that stand on them. With sock_…: echo_by_coroutines.cpp.
#include "tools/weir/verbs.hpp"

#include <weir/bytes.hpp>
#include <weir/net/datagram.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/stream_reader.hpp>
#include <weir/net/stream_writer.hpp>
#include <weir/net/transport.hpp>
#include <weir/policy.hpp>

#include <algorithm>
#include <span>
#include <system_error>
#include <utility>

namespace program {

namespace {

// What both protocols do besides receiving: hold the transport, and read no faster than they can write.
template <class Base>
class Echoing : public Base {
 public:
  void connection_made(weir::Ref<weir::Transport> transport) override { transport_ = std::move(transport); }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }
  void pause_writing() override { transport_->pause_reading(); }
  void resume_writing() override { transport_->resume_reading(); }
  // Closes when everything is echoed.
  bool eof_received() override { return false; }

 protected:
  weir::Ref<weir::Transport> transport_;
};

class EchoProtocol final : public Echoing<weir::Protocol> {
 public:
  void data_received(std::span<const std::byte> data) override { transport_->write(data); }
};

// Its memory is its own: a system that completes reads may fill it at any time. An unused connection has
// none.
class BufferedEchoProtocol final : public Echoing<weir::BufferedProtocol> {
 public:
  std::span<std::byte> get_buffer(std::size_t hint) override {
    if (buffer_.size() < hint || buffer_.empty()) {
      buffer_ = weir::Bytes(std::max(hint, least));
    }
    return buffer_.span();
  }
  void buffer_updated(std::size_t count) override {
    transport_->write(std::span(buffer_.span().first(count)));
  }

 private:
  static constexpr std::size_t least = 64 * 1024;
  weir::Bytes buffer_;
};

// When more comes than the system sends, the rest is dropped: senders of datagrams expect no less.
class EchoDatagrams final : public weir::DatagramProtocol {
 public:
  void connection_made(weir::Ref<weir::DatagramTransport> transport) override {
    transport_ = std::move(transport);
  }
  void datagram_received(std::span<const std::byte> data, const weir::Address& from) override {
    if (!is_full_ && from.family() != weir::AddressFamily::unspecified) {
      transport_->sendto(data, from);
    }
  }
  void pause_writing() override { is_full_ = true; }
  void resume_writing() override { is_full_ = false; }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  weir::Ref<weir::DatagramTransport> transport_;
  bool is_full_ = false;
};

// What arrived is handed on with its memory.
weir::Coro<void> echo_stream(weir::Ref<weir::StreamReader> reader, weir::Ref<weir::StreamWriter> writer) {
  constexpr std::ptrdiff_t most = 64 * 1024;
  try {
    for (;;) {
      weir::Bytes data = co_await reader->read(most);
      if (data.empty()) {
        break;
      }
      writer->write(std::move(data));
      co_await writer->drain();
    }
  } catch (const std::system_error&) {
    // The other side went away in the middle: its business.
  }
  writer->close();
}

}  // namespace

weir::Coro<int> echo(const Serving& serving, EchoApi api) {
  weir::EventLoop& loop = weir::get_running_loop();
  switch (api) {
    case EchoApi::protocol: {
      const ProtocolFactory factory = [] { return weir::make_ref<EchoProtocol>(); };
      const DatagramFactory datagrams = [] { return weir::make_ref<EchoDatagrams>(); };
      co_await serve_protocols(loop, serving, factory, {}, datagrams);
      break;
    }
    case EchoApi::buffered: {
      const ProtocolFactory factory = [] { return weir::make_ref<BufferedEchoProtocol>(); };
      co_await serve_protocols(loop, serving, factory);
      break;
    }
    case EchoApi::streams: {
      const ProtocolFactory factory = [&loop, handler = weir::stream_handler(&echo_stream)] {
        return weir::make_ref<weir::StreamReaderProtocol>(weir::make_ref<weir::StreamReader>(loop), handler);
      };
      co_await serve_protocols(loop, serving, factory);
      break;
    }
    case EchoApi::sock:
      co_await echo_by_coroutines(loop, serving);
      break;
  }
  co_return 0;
}

}  // namespace program
