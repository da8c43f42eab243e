// ProcessProtocol: what a Process knows of its child. It feeds the readers, and wakes those who wait.
#pragma once

#include <weir/future.hpp>
#include <weir/net/stream_reader.hpp>
#include <weir/net/stream_writer.hpp>
#include <weir/subprocess/protocol.hpp>
#include <weir/subprocess/transport.hpp>

#include <cstddef>
#include <exception>
#include <span>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class ProcessProtocol final : public SubprocessProtocol {
 public:
  ProcessProtocol(EventLoop& loop, std::ptrdiff_t limit) noexcept : loop_(&loop), limit_(limit) {}

  void connection_made(Ref<SubprocessTransport> transport) override;
  void pipe_data_received(int fd, std::span<const std::byte> data) override { reader(fd)->receive(data); }
  void pipe_connection_lost(int fd, std::exception_ptr error) override;
  void pause_writing() override { flow_->pause_writing(); }
  void resume_writing() override { flow_->resume_writing(); }
  void process_exited() override;
  void connection_lost(std::exception_ptr error) override;

  const Ref<StreamWriter>& writer() const noexcept { return std_in_; }
  const Ref<StreamReader>& reader(int fd) const noexcept { return fd == 1 ? std_out_ : std_err_; }
  // Done when the child has ended, which it has not yet.
  Future<void> ended();
  // Kills the child and closes its pipes. The first reason counts.
  void cut(std::exception_ptr reason) noexcept;
  const std::exception_ptr& cut_reason() const noexcept { return cut_reason_; }

 private:
  ~ProcessProtocol() override = default;

  void close_when_over() noexcept;

  EventLoop* loop_;
  std::ptrdiff_t limit_;
  Ref<SubprocessTransport> transport_;  // until connection_lost
  Ref<StreamReaderProtocol> flow_;      // what the writer waits for
  Ref<StreamWriter> std_in_;
  Ref<StreamReader> std_out_;
  Ref<StreamReader> std_err_;
  std::vector<Future<void>> waiters_;
  std::exception_ptr cut_reason_;
};

}  // namespace weir::inline WEIR_ABI::detail
