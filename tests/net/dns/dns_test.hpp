// What the tests of the resolver share: outcomes that can be compared with the system's resolver, and servers
// to ask.
#pragma once

#include "tests/net/net_test.hpp"

#include <weir/net/resolver.hpp>

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace weir::testing {

// A question in the words of both resolvers. It has a constructor because g++ 12 destroys aggregates twice
// that are made inside a co_await expression.
struct Question {
  Question(std::optional<std::string> asked_host, std::optional<std::string> asked_service,
           AddressFamily asked_family = AddressFamily::unspecified, std::optional<SocketType> asked_type = {},
           int asked_proto = 0, AddrInfoFlags asked_flags = AddrInfoFlags::none)
      : host(std::move(asked_host)),
        service(std::move(asked_service)),
        family(asked_family),
        type(asked_type),
        proto(asked_proto),
        flags(asked_flags) {}

  std::optional<std::string> host;
  std::optional<std::string> service;
  AddressFamily family = AddressFamily::unspecified;
  std::optional<SocketType> type = {};
  int proto = 0;
  AddrInfoFlags flags = AddrInfoFlags::none;
};

std::string describe(const Question& question);
// The answers as a set of lines, or the error as the one line "error N", N being the system's number for it.
using Outcome = std::set<std::string>;
Outcome ask_system(const Question& question);
Coro<Outcome> ask_weir(EventLoop& loop, Question question);
// The outcome that is this error.
Outcome refusal(ResolverErrc code);
// Checks that both say the same.
Coro<void> compare(EventLoop& loop, Question question);

// The hosts of the answers, sorted as text, with a blank between.
std::string hosts_of(const std::vector<AddrInfo>& answers);
// The same of a name, for streams.
Coro<std::string> lookup(EventLoop& loop, std::string name,
                         AddressFamily family = AddressFamily::unspecified);
// The error of a look-up; none when it succeeds.
Coro<std::error_code> lookup_error(EventLoop& loop, std::string name,
                                   AddressFamily family = AddressFamily::unspecified);
// The capability that a look-up says it lacks; empty when it says nothing of the kind.
Coro<std::string> lacking(EventLoop& loop, std::string name);

// A file that is removed in the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view text);
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();
  // In UTF-8.
  const std::string& path() const noexcept { return path_; }
  // Puts another file in its place, as editors and DHCP clients do.
  void replace(std::string_view text) const;
  void remove() const;

 private:
  std::filesystem::path folder_;
  std::string path_;
};

}  // namespace weir::testing
