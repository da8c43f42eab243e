// The part of HTTP/1.1 that a server of files needs: reading the head of a request, strictly, and writing
// that of an answer (RFC 9110, RFC 9112). Knows no files and no connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace program {

// The head of a request that can be answered.
struct HttpRequest {
  bool head_only = false;  // HEAD
  bool keep_alive = true;
  std::string path = {};   // decoded, without the query; begins with '/', and no part of it is empty, "." or
                           // ".." but for an empty last one
  std::string range = {};  // the field's value; empty without one
  std::string if_range = {};
  std::string if_modified_since = {};
};

// The status of the error with which anything else is answered; the connection is closed then.
using HttpStatus = int;

// Reads a head: from its first byte up to and including the empty line.
std::variant<HttpRequest, HttpStatus> read_request(std::string_view head);

// The bytes that a Range field asks of a file, the first and how many.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t count = 0;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};
// Nothing: the field is to be ignored, because it is not understood, or asks for several ranges. A count of
// 0: it asks for nothing that the file has.
std::optional<ByteRange> read_range(std::string_view field, std::uint64_t size);

// "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(std::chrono::sys_seconds time);

// "Not Found" for 404.
std::string_view reason_of(HttpStatus status) noexcept;
// What a file of this name contains, by its ending.
std::string_view content_type_of(std::string_view path) noexcept;

}  // namespace program
