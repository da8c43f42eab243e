// What `weir serve` reads and writes of HTTP.
#include "tools/weir/http.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace program;

namespace {

HttpStatus status_of(std::string_view head) {
  const auto read = read_request(head);
  return std::holds_alternative<HttpStatus>(read) ? std::get<HttpStatus>(read) : 200;
}

HttpStatus status_of_target(std::string_view target) {
  return status_of("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
}

HttpRequest request(std::string_view head) {
  const auto read = read_request(head);
  REQUIRE(std::holds_alternative<HttpRequest>(read));
  return std::get<HttpRequest>(read);
}

}  // namespace

TEST_CASE("a request is read") {
  const HttpRequest get = request(
      "GET /a%20b/c.txt?x=1 HTTP/1.1\r\nhost: example\r\nRange:  bytes=0-1 \r\nIf-Range: x\r\n"
      "If-Modified-Since: y\r\n\r\n");
  CHECK(get.path == "/a b/c.txt");
  CHECK(get.range == "bytes=0-1");
  CHECK(get.if_range == "x");
  CHECK(get.if_modified_since == "y");
  CHECK(get.keep_alive);
  CHECK_FALSE(get.head_only);
  const HttpRequest head =
      request("HEAD http://example/ HTTP/1.1\r\nHost: example\r\nConnection: a, CLOSE\r\n\r\n");
  CHECK(head.head_only);
  CHECK(head.path == "/");
  CHECK_FALSE(head.keep_alive);
  CHECK_FALSE(request("GET / HTTP/1.0\r\n\r\n").keep_alive);
  CHECK(request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
  CHECK(request("GET http://example HTTP/1.1\r\nHost: example\r\nContent-Length: 0\r\n\r\n").path == "/");
}

TEST_CASE("no path leaves its folder") {
  for (const char* target : {"/..",
                             "/../etc/passwd",
                             "/a/../b",
                             "/%2e%2e/a",
                             "/a/%2E%2e",
                             "/./a",
                             "/a//b",
                             "//etc/passwd",
                             "/a%2fb",
                             "/a%2Fb",
                             "/%00",
                             "/a%",
                             "/a%2",
                             "/a%zz",
                             "a",
                             "*",
                             "",
                             "/a#b",
                             "http://host/../a",
                             "file:///etc/passwd",
                             "/a/.."}) {
    INFO(target);
    CHECK(status_of_target(target) == 400);
  }
  for (const char* target : {"/", "/a/", "/...", "/.a", "/a..", "/%2e%2e%2e", "/a\\..\\b", "/%C3%A4"}) {
    INFO(target);
    CHECK(status_of_target(target) == 200);
  }
}

TEST_CASE("what is no request is refused") {
  struct Case {
    HttpStatus status;
    const char* head;
  };
  const Case cases[] = {
      {400, ""},
      {400, "\r\n\r\n"},
      {400, "GET\r\n\r\n"},
      {400, "GET /\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n\r\n"},
      {400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
      {400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET / HTTP/11\r\nHost: a\r\n\r\n"},
      {400, "GET / http/1.1\r\nHost: a\r\n\r\n"},
      {505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nnothing\r\n\r\n"},
      {400, "GET /\t HTTP/1.1\r\nHost: a\r\n\r\n"},
      {501, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {413, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"},
      {405, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
      {405, "get / HTTP/1.1\r\nHost: a\r\n\r\n"},
  };
  for (const Case& one : cases) {
    INFO(std::string(one.head));
    CHECK(status_of(one.head) == one.status);
  }
}

TEST_CASE("ranges") {
  CHECK(read_range("bytes=0-0", 10) == ByteRange{0, 1});
  CHECK(read_range("bytes=2-5", 10) == ByteRange{2, 4});
  CHECK(read_range("bytes=2-", 10) == ByteRange{2, 8});
  CHECK(read_range("BYTES=-3", 10) == ByteRange{7, 3});
  CHECK(read_range("bytes=-30", 10) == ByteRange{0, 10});
  CHECK(read_range("bytes=5-99999999999999999999999", 10) == ByteRange{5, 5});
  for (const char* nothing : {"bytes=10-", "bytes=10-20", "bytes=99999999999999999999999-", "bytes=-0"}) {
    INFO(nothing);
    const auto range = read_range(nothing, 10);
    REQUIRE(range);
    CHECK(range->count == 0);
  }
  for (const char* ignored : {"", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "bytes=a-b",
                              "bytes=1-b", "bytes=1--2", "lines=1-2", "bytes= 1 - 2"}) {
    INFO(ignored);
    CHECK_FALSE(read_range(ignored, 10));
  }
  CHECK(read_range("bytes=0-", 0)->count == 0);
}

TEST_CASE("dates and names") {
  CHECK(http_date(std::chrono::sys_seconds(std::chrono::seconds(784111777))) ==
        "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(content_type_of("/a/INDEX.HTML") == "text/html; charset=utf-8");
  CHECK(content_type_of("/a/.png") == "image/png");
  CHECK(content_type_of(".png") == "application/octet-stream");
  CHECK(content_type_of("/a") == "application/octet-stream");
  CHECK(reason_of(404) == "Not Found");
}

TEST_CASE("requests that chance has damaged are read or refused, and what is read stays inside") {
  const std::string whole =
      "GET /a/b%20c/../%2e?q HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\nConnection: close\r\n\r\n";
  std::mt19937 random(1);
  for (int i = 0; i != 50'000; ++i) {
    std::string text = whole;
    for (int changes = 1 + static_cast<int>(random() % 4); changes != 0; --changes) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random() % 256);
          break;
        case 1:
          text.erase(at, 1 + random() % 3);
          break;
        default:
          text.insert(at, 1, "/.%\r\n: 2e\0"[random() % 10]);
      }
    }
    const auto read = read_request(text);
    if (const auto* const one = std::get_if<HttpRequest>(&read)) {
      REQUIRE(one->path.starts_with('/'));
      REQUIRE((one->path + '/').find("/../") == std::string::npos);
      REQUIRE((one->path + '/').find("/./") == std::string::npos);
      REQUIRE(one->path.find('\0') == std::string::npos);
      static_cast<void>(read_range(one->range, 100));
    } else {
      REQUIRE(std::get<HttpStatus>(read) >= 400);
    }
  }
}
