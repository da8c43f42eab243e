// add_reader, add_writer and their removal.
#include "net/watchers.hpp"

#include "net/net_state.hpp"
#include "net/os_error.hpp"
#include "net/stream_transport.hpp"
#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/socket.hpp>

#include <cerrno>
#include <stdexcept>
#include <string>

namespace weir::inline WEIR_ABI {

namespace detail {

Watcher::Watcher(EventLoop& loop, Direction which, Callback callback, Context context) noexcept
    : loop_(&loop), callback_(std::move(callback)), context_(std::move(context)) {
  direction = which;
  on_ready = &ready;
}

std::int64_t Watcher::begin(native_socket descriptor) {
  return LoopAccess::backend(*loop_).watch(descriptor, static_cast<Watch&>(*this));
}

void Watcher::end() noexcept {
  if (handle != nullptr) {
    LoopAccess::backend(*loop_).unwatch(static_cast<Watch&>(*this));
  }
}

void Watcher::ready(Watch& watch) noexcept {
  const Ref<Watcher> self(&static_cast<Watcher&>(watch));
  try {
    const ContextScope scope(self->context_);
    self->callback_();
  } catch (...) {
    ExceptionContext context;
    context.handle = type_name(self->callback_.target_type());
    context.message = "Exception in callback " + context.handle;
    context.exception = std::current_exception();
    self->loop_->call_exception_handler(context);
  }
}

// The callback is destroyed last: its captures may use the table.
bool WatchTable::remove(native_socket descriptor, Direction which) noexcept {
  const auto found = watchers_.find(descriptor);
  if (found == watchers_.end()) {
    return false;
  }
  const Ref<Watcher> removed = std::move(found->second[static_cast<std::size_t>(which)]);
  if (found->second[0] == nullptr && found->second[1] == nullptr) {
    watchers_.erase(found);
  }
  if (removed == nullptr || !removed->is_watching()) {
    return false;
  }
  removed->end();
  return true;
}

namespace {

void check_no_transport(EventLoop& loop, native_socket descriptor, const char* call) {
  Backend& backend = LoopAccess::backend(loop);
  BackendHandle* const handle = backend.find(descriptor);
  if (handle != nullptr && backend.is_transport(handle)) {
    throw RuntimeError(std::string(call) + ": descriptor " + std::to_string(descriptor) +
                       " is used by a transport");
  }
}

bool remove_watcher(EventLoop& loop, native_socket descriptor, Direction which, const char* call) {
  NetState* const net = LoopAccess::net(loop).get();
  if (LoopAccess::is_closing(loop) || net == nullptr) {
    return false;
  }
  check_no_transport(loop, descriptor, call);
  return net->watches.remove(descriptor, which);
}

}  // namespace

}  // namespace detail

void EventLoop::watch_descriptor(native_socket descriptor, bool writing, detail::Callback callback,
                                 CallOptions options) {
  const detail::Direction which = writing ? detail::Direction::write : detail::Direction::read;
  const char* const call = writing ? "add_writer" : "add_reader";
  check_open(call);
  check_thread(call);
  if (descriptor == invalid_socket || std::cmp_less(descriptor, 0)) {
    throw std::invalid_argument(std::string(call) + ": the descriptor is negative");
  }
  detail::check_no_transport(*this, descriptor, call);
  auto watcher = make_ref<detail::Watcher>(*this, which, std::move(callback),
                                           options.context != nullptr ? *options.context : copy_context());
  detail::WatchTable& watches = detail::NetState::of(*this).watches;
  watches.remove(descriptor, which);
  if (const std::int64_t result = watcher->begin(descriptor); result == -ENOTSUP) {
    throw NotSupportedError(call, "native_descriptors");
  } else if (result < 0) {
    throw detail::os_error(result, std::string(call) + ' ' + std::to_string(descriptor));
  }
  try {
    watches.at(descriptor, which) = watcher;
  } catch (...) {
    watcher->end();
    throw;
  }
}

native_socket EventLoop::descriptor_of(const Socket& socket) noexcept { return socket.native_handle(); }

bool EventLoop::remove_reader(native_socket descriptor) {
  return detail::remove_watcher(*this, descriptor, detail::Direction::read, "remove_reader");
}
bool EventLoop::remove_reader(const Socket& socket) { return remove_reader(socket.native_handle()); }

bool EventLoop::remove_writer(native_socket descriptor) {
  return detail::remove_watcher(*this, descriptor, detail::Direction::write, "remove_writer");
}
bool EventLoop::remove_writer(const Socket& socket) { return remove_writer(socket.native_handle()); }

}  // namespace weir::inline WEIR_ABI
