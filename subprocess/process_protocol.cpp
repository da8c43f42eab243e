// The streams of a child, from its pipes.
#include "subprocess/process_protocol.hpp"

#include <weir/event_loop.hpp>

#include <utility>

namespace weir::inline WEIR_ABI::detail {

void ProcessProtocol::connection_made(Ref<SubprocessTransport> transport) {
  if (Ref<Transport> pipe = transport->get_pipe_transport(0); pipe != nullptr) {
    flow_ = make_ref<StreamReaderProtocol>(make_ref<StreamReader>(*loop_));
    std_in_ = make_ref<StreamWriter>(std::move(pipe), flow_, Ref<StreamReader>());
  }
  for (const auto& [fd, reader] : {std::pair(1, &std_out_), std::pair(2, &std_err_)}) {
    if (Ref<Transport> pipe = transport->get_pipe_transport(fd); pipe != nullptr) {
      *reader = make_ref<StreamReader>(*loop_, limit_);
      (*reader)->set_transport(std::move(pipe));
    }
  }
  transport_ = std::move(transport);
}

void ProcessProtocol::pipe_connection_lost(int fd, std::exception_ptr error) {
  if (fd == 0) {
    flow_->connection_lost(std::move(error));
    return;
  }
  const Ref<StreamReader>& lost = reader(fd);
  lost->forget_transport();
  if (error) {
    lost->set_exception(std::move(error));
  } else {
    lost->feed_eof();
  }
  close_when_over();
}

void ProcessProtocol::process_exited() {
  for (Future<void>& waiter : std::exchange(waiters_, {})) {
    if (!waiter.done()) {
      waiter.set_result();
    }
  }
  close_when_over();
}

void ProcessProtocol::connection_lost(std::exception_ptr) { transport_.reset(); }

Future<void> ProcessProtocol::ended() {
  std::erase_if(waiters_, [](const Future<void>& waiter) { return waiter.done(); });  // they were cancelled
  return waiters_.emplace_back(loop_->create_future<void>());
}

void ProcessProtocol::cut(std::exception_ptr reason) noexcept {
  if (!cut_reason_) {
    cut_reason_ = std::move(reason);
    if (transport_ != nullptr) {
      transport_->close();
    }
  }
}

// Nothing comes any more, and nobody is there to be written to.
void ProcessProtocol::close_when_over() noexcept {
  if (transport_ != nullptr && transport_->get_returncode() && transport_->get_pipe_transport(1) == nullptr &&
      transport_->get_pipe_transport(2) == nullptr) {
    transport_->close();
  }
}

}  // namespace weir::inline WEIR_ABI::detail
