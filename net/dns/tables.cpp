// Reading the hosts file and the services file.
#include "net/dns/tables.hpp"

#include "net/dns/names.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr std::string_view blanks = " \t\r\v\f";

// The words of each line, without comments; lines with fewer than two are left out.
template <class F>
void for_each_line(std::string_view text, F&& use) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    words.clear();
    for (std::size_t at = line.find_first_not_of(blanks); at != std::string_view::npos;
         at = line.find_first_not_of(blanks)) {
      line.remove_prefix(at);
      const std::size_t length = std::min(line.find_first_of(blanks), line.size());
      words.push_back(line.substr(0, length));
      line.remove_prefix(length);
    }
    if (words.size() >= 2) {
      use(words);
    }
  }
}

std::string key(std::string_view name, std::string_view protocol) {
  std::string both(name);
  both += '/';
  both += protocol;
  return both;
}

}  // namespace

HostsTable::HostsTable(std::string_view text) {
  for_each_line(text, [this](const std::vector<std::string_view>& words) {
    const std::optional<Address> address = read_numeric_host(words[0], 0);
    if (!address) {
      return;
    }
    for (auto name = words.begin() + 1; name != words.end(); ++name) {
      add(*address, *name, words[1]);
    }
    names_.try_emplace(*address, words[1]);
  });
}

void HostsTable::add(const Address& address, std::string_view name, std::string_view canonical) {
  Entry& entry = entries_[table_name(name)];
  if (entry.addresses.empty()) {
    entry.canonical = canonical;
  }
  if (std::find(entry.addresses.begin(), entry.addresses.end(), address) == entry.addresses.end()) {
    entry.addresses.push_back(address);
  }
}

const HostsTable::Entry* HostsTable::find(const std::string& name) const {
  const auto found = entries_.find(name);
  return found != entries_.end() ? &found->second : nullptr;
}

std::string HostsTable::name_of(const Address& address) const {
  RawAddress raw = address.raw();
  raw.port = 0;
  const auto found = names_.find(Address(raw));
  return found != names_.end() ? found->second : std::string();
}

ServicesTable::ServicesTable(std::string_view text) {
  for_each_line(text, [this](const std::vector<std::string_view>& words) {
    const std::size_t slash = words[1].find('/');
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(words[1].data(), words[1].data() + words[1].size(), port);
    if (slash == std::string_view::npos || error != std::errc() || end != words[1].data() + slash) {
      return;
    }
    const std::string_view protocol = words[1].substr(slash + 1);
    names_.try_emplace(key(std::to_string(port), protocol), words[0]);
    for (std::size_t i = 0; i != words.size(); ++i) {
      if (i != 1) {
        ports_.try_emplace(key(words[i], protocol), port);
      }
    }
  });
}

std::optional<std::uint16_t> ServicesTable::port(std::string_view name, std::string_view protocol) const {
  const auto found = ports_.find(key(name, protocol));
  return found != ports_.end() ? std::optional<std::uint16_t>(found->second) : std::nullopt;
}

std::string ServicesTable::name_of(std::uint16_t port, std::string_view protocol) const {
  const auto found = names_.find(key(std::to_string(port), protocol));
  return found != names_.end() ? found->second : std::string();
}

}  // namespace weir::inline WEIR_ABI::detail
