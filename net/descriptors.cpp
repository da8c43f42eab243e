// Socket::send_fds and Socket::recv_fds.
#include <weir/net/descriptors.hpp>

#include "net/file_access.hpp"
#include "net/os_error.hpp"
#include "net/sock_awaiter.hpp"

#include <weir/exceptions.hpp>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

// One SendFdsOp: gives how many bytes went, and the descriptors with them.
class SendFdsAwaiter : public SockAwaiter, private SendFdsOp {
 public:
  SendFdsAwaiter(EventLoop& loop, weir::Socket& socket, ConstBuffer bytes,
                 std::span<const native_socket> descriptors) noexcept
      : SockAwaiter(loop, socket, &cancel_op, "send_fds") {
    data = bytes;
    fds = descriptors;
  }

  bool await_ready() {
    handle = prepare(Direction::write);
    on_done = [](Op& op) noexcept {
      static_cast<SendFdsAwaiter&>(static_cast<SendFdsOp&>(op)).task_->step();
    };
    return LoopAccess::backend(*loop_).start(static_cast<SendFdsOp&>(*this)) == Started::done && may_go_on();
  }
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine, *this);
  }
  std::size_t await_resume() const {
    if (result < 0) {
      fail(result);
    }
    return static_cast<std::size_t>(result);
  }

 private:
  static bool cancel_op(CancelHook& hook, std::string_view) noexcept {
    auto& self = static_cast<SendFdsAwaiter&>(static_cast<SockAwaiter&>(hook));
    self.interrupt(self);
    return false;
  }
};

// One RecvFdsOp. What it was given belongs to it until it is taken: its frame may be destroyed first.
class RecvFdsAwaiter : public SockAwaiter, private RecvFdsOp {
 public:
  RecvFdsAwaiter(EventLoop& loop, weir::Socket& socket, std::size_t max_bytes, std::size_t max_fds)
      : SockAwaiter(loop, socket, &cancel_op, "recv_fds"), memory_(max_bytes), numbers_(max_fds) {
    into = memory_.span();
    fds.room = numbers_;
  }
  ~RecvFdsAwaiter() {
    for (const native_socket number : std::span(numbers_).first(fds.count)) {
      Backend::Sockets::close(number);
    }
  }

  bool await_ready() {
    handle = prepare(Direction::read);
    on_done = [](Op& op) noexcept {
      static_cast<RecvFdsAwaiter&>(static_cast<RecvFdsOp&>(op)).task_->step();
    };
    return LoopAccess::backend(*loop_).start(static_cast<RecvFdsOp&>(*this)) == Started::done && may_go_on();
  }
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine, *this);
  }
  ReceivedDescriptors await_resume() {
    if (result < 0) {
      fail(result);
    }
    if (fds.lost != 0) {
      throw os_error(-fds.lost, fds.lost == EMSGSIZE ? "recv_fds: more than max_fds descriptors came"
                                                     : "recv_fds: descriptors were lost");
    }
    ReceivedDescriptors received;
    received.files.reserve(fds.count);
    for (const native_socket number : std::span(numbers_).first(std::exchange(fds.count, 0))) {
      received.files.push_back(FileAccess::own(number));
    }
    memory_.truncate(static_cast<std::size_t>(result));
    received.data = std::move(memory_);
    return received;
  }

 private:
  static bool cancel_op(CancelHook& hook, std::string_view) noexcept {
    auto& self = static_cast<RecvFdsAwaiter&>(static_cast<SockAwaiter&>(hook));
    self.interrupt(self);
    return false;
  }

  Bytes memory_;
  std::vector<native_socket> numbers_;
};

// A socket of another kind would lose the descriptors without a word.
void check_unix_stream(const weir::Socket& socket, const char* call) {
  if (!Backend::has(Capability::descriptor_passing)) {
    throw NotSupportedError(call, "descriptor_passing");
  }
  if (socket.is_open() &&
      (Backend::Sockets::family(socket.native_handle()) !=
           static_cast<std::int64_t>(AddressFamily::unix_domain) ||
       Backend::Sockets::type(socket.native_handle()) != static_cast<std::int64_t>(SocketType::stream))) {
    throw std::invalid_argument(std::string(call) + ": a Unix stream socket was expected");
  }
}

// The descriptors have gone with the first byte, once; the rest are bytes as any others.
Coro<void> send_with_fds(EventLoop& loop, weir::Socket& socket, ConstBuffer data,
                         std::span<const native_socket> fds) {
  SendFdsAwaiter sending(loop, socket, data, fds);
  const std::size_t taken = co_await sending;
  if (taken != data.size()) {
    co_await loop.sock_sendall(socket, data.subspan(taken));
  }
}

Coro<ReceivedDescriptors> receive_with_fds(EventLoop& loop, weir::Socket& socket, std::size_t max_bytes,
                                           std::size_t max_fds) {
  RecvFdsAwaiter receiving(loop, socket, max_bytes, max_fds);
  co_return co_await receiving;
}

}  // namespace

}  // namespace detail

Coro<void> Socket::send_fds(EventLoop& loop, std::span<const std::byte> data,
                            std::span<const native_socket> fds) {
  detail::check_unix_stream(*this, "send_fds");
  if (data.empty()) {
    throw std::invalid_argument("send_fds: descriptors travel with at least one byte");
  }
  if (fds.size() > max_passed_descriptors) {
    throw std::invalid_argument("send_fds: more than " + std::to_string(max_passed_descriptors) +
                                " descriptors");
  }
  return detail::send_with_fds(loop, *this, data, fds);
}

Coro<ReceivedDescriptors> Socket::recv_fds(EventLoop& loop, std::size_t max_bytes, std::size_t max_fds) {
  detail::check_unix_stream(*this, "recv_fds");
  if (max_bytes == 0) {
    throw std::invalid_argument("recv_fds: descriptors come with at least one byte");
  }
  return detail::receive_with_fds(loop, *this, max_bytes, std::min(max_fds, max_passed_descriptors));
}

}  // namespace weir::inline WEIR_ABI
