// File.
#include <weir/net/file.hpp>

#include "backends/chosen.hpp"

namespace weir::inline WEIR_ABI {

void File::close() noexcept {
  if (is_open()) {
    detail::Backend::Sockets::close(release());
  }
}

}  // namespace weir::inline WEIR_ABI
