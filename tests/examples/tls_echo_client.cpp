// A client of the echo server by TLS: tls_echo_client AUTHORITIES [PORT], 8443 unless told. It trusts the
// authorities of that file, and nobody but localhost.
#include <weir/weir.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>

namespace {

weir::Coro<void> echo_client(std::string authorities, std::uint16_t port) {
  const weir::SSLContext context =
      weir::create_default_context(weir::Purpose::server_auth, {.cafile = authorities});
  auto [reader, writer] = co_await weir::open_connection(
      {.host = "127.0.0.1", .port = port, .ssl = &context, .server_hostname = "localhost"});
  const auto tls = writer->get_extra_info<weir::extra::ssl_object>();
  std::printf("Connected by %s\n", tls->version().c_str());

  writer->write("Hello World!\n");
  const weir::Bytes line = co_await reader->readline();
  std::printf("Received: %s", line.str().c_str());

  writer->close();
  co_await writer->wait_closed();
}

// In Python these are exceptions of many types.
const char* tell_apart(const std::system_error& error) {
  if (error.code() == weir::TLSErrc::certificate_wrong_host) {
    return "this is somebody else";
  }
  if (error.code() == weir::TLSErrc::certificate_self_signed ||
      error.code() == weir::TLSErrc::certificate_unknown_authority) {
    return "nobody we trust knows this server";
  }
  if (error.code().category() == weir::tls_category()) {
    return "TLS failed";
  }
  return error.code() == std::errc::connection_refused ? "nobody is there" : "the connection failed";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: tls_echo_client AUTHORITIES [PORT]\n");
    return 2;
  }
  const int port = argc > 2 ? std::atoi(argv[2]) : 8443;
  try {
    weir::run(echo_client(argv[1], static_cast<std::uint16_t>(port)));
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "tls_echo_client: %s: %s\n", tell_apart(error), error.what());
    return 1;
  }
}
