// PeerAddress: what a transport remembers of the other side, in the room of an IP address.
#pragma once

#include <weir/detail/raw_address.hpp>

#include <array>
#include <cstdint>
#include <string>

namespace weir::inline WEIR_ABI::detail {

// An Address of 24 bytes instead of 136: a path, which few connections have, is kept elsewhere.
class PeerAddress {
 public:
  // Throws std::bad_alloc.
  explicit PeerAddress(const RawAddress& raw)
      : family_(raw.family), port_(raw.port), scope_id_(raw.scope_id), ip_(raw.ip) {
    if (family_ == AddressFamily::unix_domain) {
      path_ = raw.path_size != 0 ? new std::string(raw.path_view()) : nullptr;
    }
  }
  PeerAddress(const PeerAddress&) = delete;
  PeerAddress& operator=(const PeerAddress&) = delete;
  ~PeerAddress() {
    if (family_ == AddressFamily::unix_domain) {
      delete path_;
    }
  }

  AddressFamily family() const noexcept { return family_; }
  RawAddress raw() const noexcept {
    RawAddress raw;
    raw.family = family_;
    if (family_ != AddressFamily::unix_domain) {
      raw.port = port_;
      raw.scope_id = scope_id_;
      raw.ip = ip_;
    } else if (path_ != nullptr) {
      raw.path_size = static_cast<std::uint8_t>(path_->size());
      path_->copy(raw.path.data(), path_->size());
    }
    return raw;
  }

 private:
  AddressFamily family_;
  std::uint16_t port_;
  std::uint32_t scope_id_;
  union {
    std::array<std::uint8_t, 16> ip_;
    std::string* path_;
  };
};
static_assert(sizeof(PeerAddress) == 24);

}  // namespace weir::inline WEIR_ABI::detail
