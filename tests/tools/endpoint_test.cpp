// The syntax of LISTEN and TARGET.
#include "tools/weir/endpoint.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

using program::Endpoint;
using program::parse_endpoint;
using program::PortZero;

TEST_CASE("an address is a scheme, a numeric host and a port") {
  CHECK(parse_endpoint("tcp://127.0.0.1:8888", PortZero::refused) == Endpoint{"127.0.0.1", 8888});
  CHECK(parse_endpoint("tcp://0.0.0.0:1", PortZero::refused) == Endpoint{"0.0.0.0", 1});
  CHECK(parse_endpoint("tcp://[::1]:65535", PortZero::refused) == Endpoint{"::1", 65535});
  CHECK(parse_endpoint("tcp://[::]:8", PortZero::refused) == Endpoint{"::", 8});
  CHECK(parse_endpoint("tcp://[fe80::1%2]:8", PortZero::refused) == Endpoint{"fe80::1%2", 8});
}

TEST_CASE("a host may be a name") {
  for (const char* host : {"localhost", "weir.example.", "a-b_c.d1", "0xyz", "x"}) {
    const std::string text = "tcp://" + std::string(host) + ":80";
    CHECK(parse_endpoint(text, PortZero::refused) == Endpoint{host, 80});
    CHECK(to_text(parse_endpoint(text, PortZero::refused)) == text);
  }
  const std::string label(63, 'a');
  CHECK(parse_endpoint("tcp://" + label + ":80", PortZero::refused).host == label);
  CHECK_THROWS_AS(parse_endpoint("tcp://" + label + "a:80", PortZero::refused), std::invalid_argument);
}

TEST_CASE("datagrams are for those who ask for them") {
  using program::Udp;
  const Endpoint udp = parse_endpoint("udp://127.0.0.1:8888", PortZero::refused, Udp::allowed);
  CHECK(udp.is_udp);
  CHECK(udp != parse_endpoint("tcp://127.0.0.1:8888", PortZero::refused));
  CHECK(to_text(udp) == "udp://127.0.0.1:8888");
  CHECK(to_text(parse_endpoint("udp://[::1]:1", PortZero::refused, Udp::allowed)) == "udp://[::1]:1");
  CHECK_THROWS_WITH_AS(parse_endpoint("udp://127.0.0.1", PortZero::allowed, Udp::allowed),
                       "the port is missing; write udp://HOST:PORT", std::invalid_argument);
}

TEST_CASE("TLS is written as TCP is") {
  const Endpoint tls = parse_endpoint("tls://localhost:8443", PortZero::refused);
  CHECK(tls.is_tls);
  CHECK_FALSE(tls.is_udp);
  CHECK(tls.scheme() == "tls");
  CHECK(tls.host == "localhost");
  CHECK(tls.port == 8443);
  CHECK(tls != parse_endpoint("tcp://localhost:8443", PortZero::refused));
  for (const char* text : {"tls://localhost:8443", "tls://127.0.0.1:1", "tls://[::1]:65535"}) {
    CHECK(to_text(parse_endpoint(text, PortZero::refused)) == text);
  }
  CHECK_THROWS_WITH_AS(parse_endpoint("tls://localhost", PortZero::allowed),
                       "the port is missing; write tls://HOST:PORT", std::invalid_argument);
}

TEST_CASE("port 0 is for servers") {
  CHECK(parse_endpoint("tcp://127.0.0.1:0", PortZero::allowed) == Endpoint{"127.0.0.1", 0});
  CHECK_THROWS_WITH_AS(parse_endpoint("tcp://127.0.0.1:0", PortZero::refused),
                       "port 0 is no place to connect to", std::invalid_argument);
}

TEST_CASE("a Unix socket has a path or an abstract name") {
  const Endpoint file = parse_endpoint("unix:///run/weir:80", PortZero::refused);
  CHECK(file.is_unix());
  CHECK(file.path == "/run/weir:80");
  CHECK(parse_endpoint("unix://relative", PortZero::allowed).path == "relative");
  CHECK(parse_endpoint("unix://@weir", PortZero::refused).path == std::string("\0weir", 5));
  CHECK_FALSE(parse_endpoint("tcp://127.0.0.1:8888", PortZero::refused).is_unix());
  const std::string longest = "unix:///" + std::string(106, 'x');
  CHECK(to_text(parse_endpoint(longest, PortZero::refused)) == longest);
  CHECK_THROWS_AS(parse_endpoint(longest + 'x', PortZero::refused), std::invalid_argument);
}

TEST_CASE("what is not an address is refused with what is wrong about it") {
  struct Case {
    const char* text;
    const char* complaint;  // a part of it
  };
  const Case cases[] = {
      {"", "begin with tcp://, tls:// or unix://"},
      {"127.0.0.1:80", "begin with tcp://"},
      {"tcp:/127.0.0.1:80", "begin with tcp://"},
      {"://127.0.0.1:80", "the scheme ''"},
      {"TCP://127.0.0.1:80", "the scheme 'TCP'"},
      {" tcp://127.0.0.1:80", "the scheme ' tcp'"},
      {"udp://127.0.0.1:80", "udp has not"},
      {"udpx://127.0.0.1:80", "the scheme 'udpx'"},
      {"unix://", "the path is missing"},
      {"unix://@", "the path is missing"},
      {"unix:/run/weir", "begin with tcp://, tls:// or unix://"},
      {"tcp://", "the host is missing"},
      {"tcp://:80", "the host is missing"},
      {"tcp://[]:80", "the host is missing"},
      {"tcp://two words:80", "the host 'two words'"},
      {"tcp://a..b:80", "the host 'a..b'"},
      {"tcp://.:80", "the host '.'"},
      {"tcp://1.2.3.4.5:80", "the host '1.2.3.4.5'"},
      {"tcp://example.0x7f:80", "the host 'example.0x7f'"},
      {"tcp://0x:80", "the host '0x'"},
      {"tcp://[localhost]:80", "the host 'localhost'"},
      {"tcp://127.0.0:80", "the host '127.0.0'"},
      {"tcp://127.0.0.256:80", "the host '127.0.0.256'"},
      {"tcp://127.0.0.1 :80", "the host '127.0.0.1 '"},
      {"tcp://me@127.0.0.1:80", "the host 'me@127.0.0.1'"},
      {"tcp://::1:80", "in brackets"},
      {"tcp://::1", "in brackets"},
      {"tcp://[::1:80", "is not closed"},
      {"tcp://[127.0.0.1]:80", "the host '127.0.0.1'"},
      {"tcp://[::g]:80", "the host '::g'"},
      {"tcp://[::1]80", "'80' after the bracket"},
      {"tcp://127.0.0.1", "the port is missing"},
      {"tcp://127.0.0.1:", "the port is missing"},
      {"tcp://[::1]", "the port is missing"},
      {"tcp://[::1]:", "the port is missing"},
      {"tcp://127.0.0.1:http", "the port 'http'"},
      {"tcp://127.0.0.1:65536", "the port '65536'"},
      {"tcp://127.0.0.1:4294967376", "the port '4294967376'"},
      {"tcp://127.0.0.1:99999999999999999999", "the port '99999999999999999999'"},
      {"tcp://127.0.0.1:-1", "the port '-1'"},
      {"tcp://127.0.0.1:+80", "the port '+80'"},
      {"tcp://127.0.0.1:080", "the port '080'"},
      {"tcp://127.0.0.1:00", "the port '00'"},
      {"tcp://127.0.0.1:80/", "the port '80/'"},
      {"tcp://127.0.0.1:80 ", "the port '80 '"},
      {"tcp://127.0.0.1: 80", "the port ' 80'"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.text);
    std::string complaint = "none";
    try {
      parse_endpoint(one.text, PortZero::allowed);
    } catch (const std::invalid_argument& error) {
      complaint = error.what();
    }
    CAPTURE(complaint);
    CHECK(complaint.find(one.complaint) != std::string::npos);
  }
}

TEST_CASE("an address is printed as it is read") {
  for (const char* text :
       {"tcp://127.0.0.1:8888", "tcp://[::1]:1", "tcp://[::]:65535", "unix:///run/weir", "unix://@weir"}) {
    CHECK(program::to_text(parse_endpoint(text, PortZero::refused)) == text);
  }
}
