// Files and pipes under the simulator: files are the machine's own, because reading one is no chance; pipes
// are the world's, and their numbers are those of its network.
#include "backends/sim/backend.hpp"
#include "backends/sim/world.hpp"
#include "backends/system/system.hpp"

#include <cerrno>
#include <new>

namespace weir::inline WEIR_ABI::detail {

namespace {

bool is_simulated(native_file native) noexcept { return native >= Network::first_number; }

template <class Call>
std::int64_t with_socket(native_file native, Call call) noexcept {
  const std::shared_ptr<World> world = World::existing();
  Socket* const socket = world != nullptr ? world->network.find(native) : nullptr;
  return socket != nullptr ? static_cast<std::int64_t>(call(world->network, *socket)) : -EBADF;
}

// What only a file has.
std::int64_t refuse_seeking(native_file native) noexcept {
  return with_socket(native, [](Network&, Socket&) { return -ESPIPE; });
}

}  // namespace

std::int64_t SimBackend::Files::open(const char* path, FileMode mode) noexcept {
  return SystemFiles::open(path, mode);
}

std::int64_t SimBackend::Files::open_pipe(native_file (&ends)[2]) noexcept {
  try {
    const std::shared_ptr<World> world = World::current();
    return world->network.open_pipe(ends);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

std::int64_t SimBackend::Files::close(native_file native) noexcept {
  return !is_simulated(native) ? SystemFiles::close(native)
                               : with_socket(native, [native](Network& network, Socket&) {
                                   network.close(native, false);
                                   return 0;
                                 });
}

std::int64_t SimBackend::Files::adopt(native_file native) noexcept {
  return !is_simulated(native) ? SystemFiles::adopt(native)
                               : with_socket(native, [](Network&, Socket&) { return 0; });
}

// An end of this network has one number only.
std::int64_t SimBackend::Files::duplicate(native_file native) noexcept {
  return !is_simulated(native) ? SystemFiles::duplicate(native)
                               : with_socket(native, [](Network&, Socket&) { return -ENOTSUP; });
}

std::int64_t SimBackend::Files::kind(native_file native) noexcept {
  return !is_simulated(native)
             ? SystemFiles::kind(native)
             : with_socket(native, [](Network&, Socket& socket) {
                 return static_cast<int>(socket.is_pipe() ? FileKind::pipe : FileKind::socket);
               });
}

std::int64_t SimBackend::Files::size(native_file native) noexcept {
  return !is_simulated(native) ? SystemFiles::size(native)
                               : with_socket(native, [](Network&, Socket&) { return 0; });
}

std::int64_t SimBackend::Files::position(native_file native) noexcept {
  return !is_simulated(native) ? SystemFiles::position(native) : refuse_seeking(native);
}

std::int64_t SimBackend::Files::set_position(native_file native, std::uint64_t offset) noexcept {
  return !is_simulated(native) ? SystemFiles::set_position(native, offset) : refuse_seeking(native);
}

std::int64_t SimBackend::Files::read_at(native_file native, std::uint64_t offset,
                                        std::span<std::byte> into) noexcept {
  return !is_simulated(native) ? SystemFiles::read_at(native, offset, into) : refuse_seeking(native);
}

std::int64_t SimBackend::Files::read(native_file native, std::span<std::byte> into) noexcept {
  return !is_simulated(native) ? SystemFiles::read(native, into)
                               : with_socket(native, [&](Network& network, Socket& socket) {
                                   return network.receive(socket, into);
                                 });
}

std::int64_t SimBackend::Files::write(native_file native, ConstBuffer from) noexcept {
  return !is_simulated(native) ? SystemFiles::write(native, from)
                               : with_socket(native, [&](Network& network, Socket& socket) {
                                   return network.send(socket, {&from, 1});
                                 });
}

std::int64_t SimBackend::Files::is_blocking(native_file native) noexcept {
  return !is_simulated(native) ? SystemFiles::is_blocking(native)
                               : with_socket(native, [](Network&, Socket&) { return 0; });
}

std::int64_t SimBackend::Files::set_non_blocking(native_file native, bool non_blocking) noexcept {
  return !is_simulated(native)
             ? SystemFiles::set_non_blocking(native, non_blocking)
             : with_socket(native, [non_blocking](Network&, Socket&) { return non_blocking ? 0 : -ENOTSUP; });
}

}  // namespace weir::inline WEIR_ABI::detail
