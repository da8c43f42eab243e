// StreamWriter and StreamReaderProtocol: flow control for coroutines, and the end of a connection.
#include <weir/net/stream_writer.hpp>

#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>
#include <weir/log.hpp>
#include <weir/net/extra.hpp>
#include <weir/net/streams.hpp>

#include <stdexcept>
#include <string>
#include <system_error>

namespace weir::inline WEIR_ABI {

// --- Waiting

namespace detail {

void StreamWaiterList::push(StreamWaiter& waiter) noexcept {
  waiter.list_ = this;
  waiter.previous_ = last;
  waiter.next_ = nullptr;
  (last != nullptr ? last->next_ : first) = &waiter;
  last = &waiter;
}

void StreamWaiterList::erase(StreamWaiter& waiter) noexcept {
  waiter.list_ = nullptr;
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : first) = waiter.next_;
  (waiter.next_ != nullptr ? waiter.next_->previous_ : last) = waiter.previous_;
}

void StreamWaiterList::wake_all(const std::exception_ptr& error) noexcept {
  while (first != nullptr) {
    StreamWaiter& waiter = *first;
    erase(waiter);
    waiter.error_ = error;
    waiter.task_->wake();
  }
}

StreamWaiter::StreamWaiter(Ref<StreamReaderProtocol> protocol, const char* call) noexcept
    : CancelHook(&cancel_wait, call), protocol_(std::move(protocol)) {}

// Before it is awaited.
StreamWaiter::StreamWaiter(StreamWaiter&& other) noexcept : StreamWaiter(other.protocol_, other.awaits) {}

StreamWaiter::~StreamWaiter() {
  if (list_ != nullptr) {
    list_->erase(*this);
  }
}

// One that is not in a list will be resumed anyway.
bool StreamWaiter::cancel_wait(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<StreamWaiter&>(hook);
  if (self.list_ != nullptr) {
    self.list_->erase(self);
    self.task_->wake();
    self.task_->interrupted();
  }
  return false;
}

DrainAwaiter::DrainAwaiter(Ref<StreamReaderProtocol> protocol, Ref<Transport> transport,
                           Ref<StreamReader> reader) noexcept
    : StreamWaiter(std::move(protocol), "drain"),
      transport_(std::move(transport)),
      reader_(std::move(reader)) {}

DrainAwaiter::DrainAwaiter(DrainAwaiter&& other) noexcept
    : DrainAwaiter(other.protocol_, other.transport_, other.reader_) {}

bool DrainAwaiter::await_ready() {
  if (reader_ != nullptr && reader_->exception()) [[unlikely]] {
    std::rethrow_exception(reader_->exception());
  }
  is_lost_ = protocol_->lost_;
  if (transport_->is_closing()) [[unlikely]] {
    gives_way_ = true;
    return false;
  }
  if (is_lost_) [[unlikely]] {
    return true;
  }
  gives_way_ = !protocol_->paused_;
  return gives_way_ && LoopAccess::spend_await_budget(transport_->get_loop());
}

void DrainAwaiter::begin_waiting() {
  if (gives_way_) {
    LoopAccess::ready(task_->get_loop()).push(&look_again, this);
  } else {
    protocol_->draining_.push(*this);
  }
}

void DrainAwaiter::look_again(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
  if (action != ReadyAction::run) {
    return;
  }
  auto& self = *static_cast<DrainAwaiter*>(object);
  self.is_lost_ = self.protocol_->lost_;
  if (self.is_lost_ || !self.protocol_->paused_ || self.task_->must_cancel()) {
    self.task_->step();
  } else {
    self.protocol_->draining_.push(self);
  }
}

void DrainAwaiter::await_resume() {
  if (task_ != nullptr) {
    task_->throw_if_cancelled();
  }
  if (error_) {
    std::rethrow_exception(error_);
  }
  if (is_lost_) {
    throw std::system_error(std::make_error_code(std::errc::connection_reset), "Connection lost");
  }
}

bool WaitClosedAwaiter::await_ready() const noexcept { return protocol_->lost_; }
void WaitClosedAwaiter::begin_waiting() noexcept { protocol_->closing_.push(*this); }

void WaitClosedAwaiter::await_resume() {
  if (task_ != nullptr) {
    task_->throw_if_cancelled();
  }
  if (protocol_->error_) {
    std::rethrow_exception(protocol_->error_);
  }
}

// --- Handlers

ClientHandler::~ClientHandler() = default;

void ClientHandler::watch(FutureBase& task, Ref<Transport> transport) {
  FutureBase* const ended = &task;  // it keeps itself until its callbacks have run
  task.add_callback(Callback([ended, connection = std::move(transport), keep = Ref<ClientHandler>(this)] {
                      std::exception_ptr error;
                      if (!ended->cancelled()) {
                        error = ended->exception();
                        if (error == nullptr) {
                          return;
                        }
                      }
                      if (error != nullptr) {
                        ExceptionContext context;
                        context.message = "Unhandled exception in client_connected_cb";
                        context.exception = error;
                        context.transport = connection.get();
                        connection->get_loop().call_exception_handler(context);
                      }
                      connection->close();
                    }),
                    {});
}

}  // namespace detail

// --- StreamWriter

StreamWriter::StreamWriter(Ref<Transport> transport, Ref<StreamReaderProtocol> protocol,
                           Ref<StreamReader> reader) noexcept
    : transport_(std::move(transport)), protocol_(std::move(protocol)), reader_(std::move(reader)) {}

// A loop that closes closes its transports itself, and says so.
StreamWriter::~StreamWriter() {
  if (transport_->is_closing() || detail::LoopAccess::is_closing(transport_->get_loop())) {
    return;
  }
  std::string peer;
  if (const std::optional<Address> address = transport_->get_extra_info<extra::peername>()) {
    peer = " peername=" + address->to_string();
  }
  transport_->close();
  detail::log(LogLevel::warning, "unclosed <StreamWriter" + peer + ">: the last reference to it was dropped");
}

void StreamWriter::replace_transport(Ref<Transport> transport) noexcept {
  if (reader_ != nullptr) {
    reader_->replace_transport(transport);
  }
  transport_ = std::move(transport);
}

// --- StreamReaderProtocol

StreamReaderProtocol::StreamReaderProtocol(Ref<StreamReader> reader, Ref<detail::ClientHandler> handler)
    : reader_(std::move(reader)), handler_(std::move(handler)), serves_(handler_ != nullptr) {
  if (reader_ == nullptr) {
    throw std::invalid_argument("StreamReaderProtocol: the reader is null");
  }
}

StreamReaderProtocol::~StreamReaderProtocol() = default;

void StreamReaderProtocol::connection_made(Ref<Transport> transport) {
  reader_->set_transport(transport);
  if (handler_ != nullptr) {
    const Ref<detail::ClientHandler> handler = std::exchange(handler_, nullptr);
    auto writer = make_ref<StreamWriter>(transport, Ref<StreamReaderProtocol>(this), reader_);
    handler->connected(transport, reader_, std::move(writer));
  }
}

// Lets go of the reader, and that of the transport: they hold each other.
void StreamReaderProtocol::connection_lost(std::exception_ptr error) {
  lost_ = true;
  error_ = std::move(error);
  const Ref<StreamReader> reader = std::exchange(reader_, nullptr);
  reader->forget_transport();
  if (error_) {
    reader->set_exception(error_);
  } else {
    reader->feed_eof();
  }
  closing_.wake_all(nullptr);
  draining_.wake_all(error_);
}

void StreamReaderProtocol::data_received(std::span<const std::byte> data) { reader_->receive(data); }

bool StreamReaderProtocol::eof_received() {
  reader_->feed_eof();
  return true;
}

void StreamReaderProtocol::resume_writing() {
  paused_ = false;
  draining_.wake_all(nullptr);
}

// --- open_connection, start_server

namespace detail {

Coro<StreamPair> open_stream(Ref<StreamReader> reader, Coro<StreamConnection> connecting) {
  StreamConnection made = co_await std::move(connecting);
  auto writer = make_ref<StreamWriter>(std::move(made.first), std::move(made.second), reader);
  co_return StreamPair(std::move(reader), std::move(writer));
}

void check_stream_limit(std::ptrdiff_t limit) {
  if (limit <= 0) {
    throw std::invalid_argument("Limit cannot be <= 0");
  }
}

}  // namespace detail

Coro<StreamPair> open_unix_connection(UnixConnectionOptions options, std::ptrdiff_t limit) {
  EventLoop& loop = get_running_loop();
  auto reader = make_ref<StreamReader>(loop, limit);
  auto factory = [protocol = make_ref<StreamReaderProtocol>(reader)] { return protocol; };
  return detail::open_stream(std::move(reader), loop.create_unix_connection(std::move(factory), options));
}

Coro<StreamPair> open_connection(ConnectionOptions options, std::ptrdiff_t limit) {
  EventLoop& loop = get_running_loop();
  auto reader = make_ref<StreamReader>(loop, limit);
  auto factory = [protocol = make_ref<StreamReaderProtocol>(reader)] { return protocol; };
  return detail::open_stream(std::move(reader), loop.create_connection(std::move(factory), options));
}

}  // namespace weir::inline WEIR_ABI
