// weir's TLS echo server: by a protocol, or by coroutines on streams.
//
// Usage: echo_tls_weir CERTIFICATE_AND_KEY [--streams]
#include "bench/echo/tls_context.hpp"

#include <weir/bytes.hpp>
#include <weir/net/server.hpp>
#include <weir/net/ssl.hpp>
#include <weir/net/streams.hpp>
#include <weir/policy.hpp>
#include <weir/runner.hpp>

#include <cstdio>
#include <exception>
#include <string_view>
#include <utility>

namespace {

// Reads no faster than it can write.
class EchoProtocol final : public weir::Protocol {
 public:
  void connection_made(weir::Ref<weir::Transport> transport) override { transport_ = std::move(transport); }
  void data_received(std::span<const std::byte> data) override { transport_->write(data); }
  void pause_writing() override { transport_->pause_reading(); }
  void resume_writing() override { transport_->resume_reading(); }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  weir::Ref<weir::Transport> transport_;
};

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

weir::Coro<void> serve(const char* pem, bool by_streams) {
  weir::SSLContext context(weir::SSLProtocol::tls_server);
  context.load_cert_chain({.certfile = pem});
  weir::ServerOptions options;
  options.host = "127.0.0.1";
  options.ssl = &context;
  weir::Ref<weir::Server> server;
  if (by_streams) {
    server = co_await weir::start_server(&echo_stream, options);
  } else {
    const auto factory = [] { return weir::make_ref<EchoProtocol>(); };
    server = co_await weir::get_running_loop().create_server(factory, options);
  }
  std::printf("tls://%s\n", server->sockets().front().local_address().to_string().c_str());
  std::fflush(stdout);
  co_await server->serve_forever();
}

}  // namespace

int main(int argc, char** argv) {
  const char* const pem = bench::certificate_file(argc, argv);
  const bool by_streams = argc > 2 && std::string_view(argv[2]) == "--streams";
  try {
    weir::run(serve(pem, by_streams));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "echo_tls_weir: %s\n", error.what());
    return 1;
  }
  return 0;
}
