// An echo server by TLS, until Ctrl-C: tls_echo_server CERTIFICATE KEY [PORT], 8443 unless told. `weir cert`
// makes both files for trials.
#include <weir/weir.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace {

// By TLS or not is all the same to it.
class Echo : public weir::Protocol {
 public:
  void connection_made(weir::Ref<weir::Transport> transport) override { transport_ = std::move(transport); }
  void data_received(std::span<const std::byte> data) override { transport_->write(data); }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  weir::Ref<weir::Transport> transport_;
};

weir::Coro<void> serve_by_tls(std::string certificate, std::string key, std::uint16_t port) {
  weir::SSLContext context = weir::create_default_context(weir::Purpose::client_auth);
  context.load_cert_chain({.certfile = certificate, .keyfile = key});

  weir::EventLoop& loop = weir::get_running_loop();
  weir::Ref<weir::Server> server = co_await loop.create_server(
      [] { return weir::make_ref<Echo>(); }, {.host = "127.0.0.1", .port = port, .ssl = &context});
  std::printf("Serving on %s\n", server->sockets().front().local_address().to_string().c_str());
  std::fflush(stdout);

  co_await weir::serve(server, [](weir::Server& serving) { return serving.serve_forever(); });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tls_echo_server CERTIFICATE KEY [PORT]\n");
    return 2;
  }
  const int port = argc > 3 ? std::atoi(argv[3]) : 8443;
  try {
    weir::run(serve_by_tls(argv[1], argv[2], static_cast<std::uint16_t>(port)));
  } catch (const weir::KeyboardInterrupt&) {
    return 130;
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "tls_echo_server: %s\n", error.what());  // names the file that is of no use
    return 1;
  }
}
