// TlsTransport::Output: the engine's output for the length of one of its calls, handed on to the transport
// below by flush().
#pragma once

#include "net/tls/memory.hpp"
#include "net/tls/transport.hpp"

namespace weir::inline WEIR_ABI::detail {

class TlsTransport::Output {
 public:
  explicit Output(TlsTransport& transport)
      : transport_(transport),
        block_(*transport.loop_),
        outer_(transport.engine_.set_output(&block_.bytes)) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() { transport_.engine_.set_output(outer_); }

  // May call the protocol above: it may be told to pause.
  void flush() {
    if (!block_.bytes.empty()) {
      transport_.below_->write(block_.bytes);
      block_.bytes.clear();
    }
  }

 private:
  TlsTransport& transport_;
  EncryptedBlock block_;
  std::vector<std::byte>* outer_;
};

}  // namespace weir::inline WEIR_ABI::detail
