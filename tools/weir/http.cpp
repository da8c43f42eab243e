// Reading requests and naming things.
#include "tools/weir/http.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <utility>

namespace program {

namespace {

constexpr HttpStatus bad_request = 400;

bool is_token(std::string_view text) noexcept {
  constexpr std::string_view allowed =
      "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_names(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return to_lower(x) == to_lower(y); });
}

std::string_view trimmed(std::string_view text) noexcept {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Takes what stands before the separator away; all of it when there is none.
std::string_view take_until(std::string_view& rest, std::string_view separator) noexcept {
  const std::size_t end = rest.find(separator);
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + separator.size());
  return taken;
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Nothing for a % without its two digits, and where a slash or a NUL is hidden behind one.
std::optional<std::string> decoded(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i != text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return std::nullopt;
      }
      c = static_cast<char>(high * 16 + low);
      i += 2;
      if (c == '/') {
        return std::nullopt;
      }
    }
    if (c == '\0') {
      return std::nullopt;
    }
    result += c;
  }
  return result;
}

// Can a folder not be left by this path, whatever it contains?
bool stays_inside(std::string_view path) noexcept {
  path.remove_prefix(1);
  while (!path.empty()) {
    const bool is_last = path.find('/') == std::string_view::npos;
    const std::string_view part = take_until(path, "/");
    if (part == "." || part == ".." || (part.empty() && !is_last)) {
      return false;
    }
  }
  return true;
}

// The path of a request's target, in the form of an origin or of a proxy.
std::optional<std::string> path_of(std::string_view target) {
  constexpr std::string_view scheme = "http://";
  if (target.size() > scheme.size() && equal_names(target.substr(0, scheme.size()), scheme)) {
    target.remove_prefix(scheme.size());
    const std::size_t path = target.find('/');
    target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
  }
  if (!target.starts_with('/') || target.find('#') != std::string_view::npos) {
    return std::nullopt;
  }
  std::optional<std::string> path = decoded(target.substr(0, target.find('?')));
  return path && stays_inside(*path) ? std::move(path) : std::nullopt;
}

bool has_control_character(std::string_view line) noexcept {
  return std::any_of(line.begin(), line.end(),
                     [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
}

// What the fields say besides the request's own.
struct Fields {
  int hosts = 0;
  bool has_body = false;
  bool is_coded = false;
  bool says_close = false;
  bool says_keep_alive = false;
};

void read_connection(std::string_view value, Fields& fields) {
  while (!value.empty()) {
    const std::string_view option = trimmed(take_until(value, ","));
    fields.says_close = fields.says_close || equal_names(option, "close");
    fields.says_keep_alive = fields.says_keep_alive || equal_names(option, "keep-alive");
  }
}

// False for what is no field.
bool read_field(std::string_view line, HttpRequest& request, Fields& fields) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) || has_control_character(line)) {
    return false;
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (equal_names(name, "host")) {
    ++fields.hosts;
  } else if (equal_names(name, "content-length")) {
    fields.has_body = fields.has_body || value != "0";
  } else if (equal_names(name, "transfer-encoding")) {
    fields.is_coded = true;
  } else if (equal_names(name, "connection")) {
    read_connection(value, fields);
  } else if (equal_names(name, "range")) {
    request.range = value;
  } else if (equal_names(name, "if-range")) {
    request.if_range = value;
  } else if (equal_names(name, "if-modified-since")) {
    request.if_modified_since = value;
  }
  return true;
}

struct Version {
  HttpStatus error = 0;
  bool is_1_0 = false;
};

Version read_version(std::string_view text) noexcept {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() != 8 || !text.starts_with("HTTP/") || !is_digit(text[5]) || text[6] != '.' ||
      !is_digit(text[7])) {
    return {.error = bad_request};
  }
  if (text[5] != '1') {
    return {.error = 505};
  }
  return {.is_1_0 = text[7] == '0'};
}

std::optional<std::uint64_t> read_number(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || end != text.data() + text.size() || error == std::errc::invalid_argument) {
    return std::nullopt;
  }
  return error == std::errc::result_out_of_range ? UINT64_MAX : number;
}

}  // namespace

std::variant<HttpRequest, HttpStatus> read_request(std::string_view head) {
  if (!head.ends_with("\r\n\r\n")) {
    return bad_request;
  }
  head.remove_suffix(2);
  std::string_view line = take_until(head, "\r\n");
  const std::string_view method = take_until(line, " ");
  const std::string_view target = take_until(line, " ");
  const Version version = read_version(line);
  const bool has_tab = target.find('\t') != std::string_view::npos;
  if (!is_token(method) || has_tab || has_control_character(target) || version.error != 0) {
    return version.error != 0 ? version.error : bad_request;
  }
  HttpRequest request;
  Fields fields;
  while (!head.empty()) {
    if (!read_field(take_until(head, "\r\n"), request, fields)) {
      return bad_request;
    }
  }
  if (fields.hosts > 1 || (fields.hosts == 0 && !version.is_1_0)) {
    return bad_request;
  }
  if (fields.is_coded) {
    return 501;
  }
  if (fields.has_body) {
    return 413;  // no method here has use for one
  }
  if (method != "GET" && method != "HEAD") {
    return 405;
  }
  std::optional<std::string> path = path_of(target);
  if (!path) {
    return bad_request;
  }
  request.head_only = method == "HEAD";
  request.keep_alive = !fields.says_close && (!version.is_1_0 || fields.says_keep_alive);
  request.path = std::move(*path);
  return request;
}

std::optional<ByteRange> read_range(std::string_view field, std::uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  if (field.size() < unit.size() || !equal_names(field.substr(0, unit.size()), unit)) {
    return std::nullopt;
  }
  std::string_view rest = trimmed(field.substr(unit.size()));
  if (rest.find(',') != std::string_view::npos || rest.find('-') == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view first_text = take_until(rest, "-");
  const std::optional<std::uint64_t> first = read_number(first_text);
  const std::optional<std::uint64_t> last = read_number(rest);
  if (first_text.empty()) {  // so many at the end
    if (!last) {
      return std::nullopt;
    }
    const std::uint64_t count = std::min(*last, size);
    return ByteRange{size - count, count};
  }
  if (!first || (!rest.empty() && (!last || *last < *first))) {
    return std::nullopt;
  }
  if (*first >= size) {
    return ByteRange{0, 0};
  }
  const std::uint64_t end = last && *last < size ? *last + 1 : size;
  return ByteRange{*first, end - *first};
}

std::string http_date(std::chrono::sys_seconds time) {
  constexpr std::string_view days = "SunMonTueWedThuFriSat";
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  const auto digits = [](long value) {
    return std::string{static_cast<char>('0' + value / 10 % 10), static_cast<char>('0' + value % 10)};
  };
  const int year = static_cast<int>(date.year());
  std::string text;
  text.reserve(sizeof "Sun, 06 Nov 1994 08:49:37 GMT");
  text.append(days, std::size_t{3} * std::chrono::weekday(day).c_encoding(), 3) += ", ";
  text.append(digits(static_cast<long>(static_cast<unsigned>(date.day())))) += ' ';
  text.append(months, std::size_t{3} * (static_cast<unsigned>(date.month()) - 1), 3) += ' ';
  text.append(digits(year / 100)).append(digits(year)) += ' ';
  text.append(digits(clock.hours().count())) += ':';
  text.append(digits(clock.minutes().count())) += ':';
  text.append(digits(clock.seconds().count())) += " GMT";
  return text;
}

std::string_view reason_of(HttpStatus status) noexcept {
  struct Named {
    HttpStatus status;
    std::string_view reason;
  };
  constexpr Named all[] = {
      {200, "OK"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {304, "Not Modified"},
      {400, "Bad Request"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {413, "Content Too Large"},
      {416, "Range Not Satisfiable"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {505, "HTTP Version Not Supported"},
  };
  const auto* const found = std::find_if(std::begin(all), std::end(all),
                                         [status](const Named& one) { return one.status == status; });
  return found != std::end(all) ? found->reason : "Unknown";
}

std::string_view content_type_of(std::string_view path) noexcept {
  struct Ending {
    std::string_view text;
    std::string_view type;
  };
  constexpr Ending all[] = {
      {".html", "text/html; charset=utf-8"},
      {".htm", "text/html; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".mjs", "text/javascript; charset=utf-8"},
      {".json", "application/json"},
      {".txt", "text/plain; charset=utf-8"},
      {".md", "text/plain; charset=utf-8"},
      {".xml", "application/xml"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".jpg", "image/jpeg"},
      {".jpeg", "image/jpeg"},
      {".gif", "image/gif"},
      {".webp", "image/webp"},
      {".ico", "image/x-icon"},
      {".pdf", "application/pdf"},
      {".wasm", "application/wasm"},
      {".gz", "application/gzip"},
      {".mp4", "video/mp4"},
      {".mp3", "audio/mpeg"},
  };
  const auto* const found = std::find_if(std::begin(all), std::end(all), [path](const Ending& one) {
    return path.size() > one.text.size() && equal_names(path.substr(path.size() - one.text.size()), one.text);
  });
  return found != std::end(all) ? found->type : "application/octet-stream";
}

}  // namespace program
