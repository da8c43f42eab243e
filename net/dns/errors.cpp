// The category of the resolver's errors.
#include "net/dns/errors.hpp"

namespace weir::inline WEIR_ABI {

namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "weir.resolver"; }
  std::string message(int code) const override {
    switch (static_cast<ResolverErrc>(code)) {
      case ResolverErrc::temporary_failure:
        return "temporary failure in name resolution";
      case ResolverErrc::not_found:
        return "name or service not known";
      case ResolverErrc::no_data:
        return "no address of this family associated with the name";
      case ResolverErrc::address_family:
        return "the numeric address is of another family";
      case ResolverErrc::family:
        return "address family not supported";
      case ResolverErrc::socket_type:
        return "socket type and protocol do not fit";
      case ResolverErrc::service:
        return "service not known for this socket type";
      case ResolverErrc::bad_flags:
        return "bad flags";
      case ResolverErrc::failure:
        return "non-recoverable failure in name resolution";
    }
    return "unknown resolver error " + std::to_string(code);
  }
};

}  // namespace

const std::error_category& resolver_category() noexcept {
  static const Category category;
  return category;
}

namespace detail {

void throw_resolver_error(ResolverErrc code, const std::string& what) {
  throw std::system_error(make_error_code(code), what);
}

}  // namespace detail
}  // namespace weir::inline WEIR_ABI
