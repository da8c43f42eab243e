// ProcessWait: has the system tell the port when a process has ended. A thread of the system's pool waits,
// one for up to 63 processes, and posts a packet.
#pragma once

#include "backends/iocp/port.hpp"

#include <atomic>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

class ProcessWait {
 public:
  ProcessWait() noexcept = default;
  ~ProcessWait() { end(); }
  ProcessWait(const ProcessWait&) = delete;
  ProcessWait& operator=(const ProcessWait&) = delete;

  // 0: there will be one packet of PortKey::process with this address, unless end() comes before; at once
  // when the process has ended already. Or a negated errno. The process's handle stays open until end().
  std::int64_t begin(CompletionPort& port, HANDLE process, void* subject) noexcept;
  // The system has let go of it, and posts nothing any more. True: it has posted before. Again: false.
  bool end() noexcept;

 private:
  static void CALLBACK tell(void* self, BOOLEAN has_timed_out) noexcept;

  HANDLE wait_ = nullptr;
  CompletionPort* port_ = nullptr;
  void* subject_ = nullptr;
  std::atomic<bool> has_posted_{false};
};

}  // namespace weir::inline WEIR_ABI::detail
