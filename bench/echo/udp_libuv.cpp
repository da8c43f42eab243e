// libuv's echo server of datagrams: one buffer, answers at once; one that the system does not take is
// dropped.
#include "bench/echo/listening.hpp"

#include <uv.h>

#include <vector>

namespace {

// libuv receives as many at once as pieces of 64 KiB fit, up to 20.
std::vector<char> buffer(20 * 64 * 1024);

void give_buffer(uv_handle_t*, std::size_t, uv_buf_t* result) {
  *result = uv_buf_init(buffer.data(), static_cast<unsigned>(buffer.size()));
}

// Without a sender: nothing is left, or the buffer is free again.
void received(uv_udp_t* socket, ssize_t count, const uv_buf_t* data, const sockaddr* from, unsigned) {
  if (count >= 0 && from != nullptr) {
    const uv_buf_t answer = uv_buf_init(data->base, static_cast<unsigned>(count));
    uv_udp_try_send(socket, &answer, 1, from);
  }
}

}  // namespace

int main() {
  uv_loop_t* loop = uv_default_loop();
  uv_udp_t socket;
  uv_udp_init_ex(loop, &socket, UV_UDP_RECVMMSG);
  uv_udp_open(&socket, bench::receive_datagrams_anywhere());
  uv_udp_recv_start(&socket, &give_buffer, &received);
  return uv_run(loop, UV_RUN_DEFAULT);
}
