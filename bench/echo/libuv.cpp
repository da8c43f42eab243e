// libuv's echo server: one read buffer for all connections, as its memory callback allows; what the system
// does not take at once is copied and written when it does.
//
// Usage: echo_libuv [--discard]
#include "bench/echo/listening.hpp"

#include <uv.h>

#include <cstring>
#include <vector>

namespace {

std::vector<char> buffer(64 * 1024);
bool discards = false;

struct Write {
  uv_write_t request;
  std::vector<char> data;
};

void close_handle(uv_stream_t* stream) {
  auto* handle = reinterpret_cast<uv_handle_t*>(stream);
  if (uv_is_closing(handle) == 0) {
    uv_close(handle, [](uv_handle_t* closed) { delete reinterpret_cast<uv_tcp_t*>(closed); });
  }
}

void give_buffer(uv_handle_t*, std::size_t, uv_buf_t* result) {
  *result = uv_buf_init(buffer.data(), static_cast<unsigned>(buffer.size()));
}

void received(uv_stream_t* stream, ssize_t count, const uv_buf_t* data) {
  if (count < 0) {
    close_handle(stream);
    return;
  }
  if (discards) {
    return;
  }
  uv_buf_t whole = uv_buf_init(data->base, static_cast<unsigned>(count));
  int sent = uv_try_write(stream, &whole, 1);
  if (sent == static_cast<int>(count)) {
    return;
  }
  if (sent < 0 && sent != UV_EAGAIN) {
    close_handle(stream);
    return;
  }
  sent = sent < 0 ? 0 : sent;
  auto* rest = new Write{{}, {data->base + sent, data->base + count}};
  rest->request.data = rest;
  uv_buf_t piece = uv_buf_init(rest->data.data(), static_cast<unsigned>(rest->data.size()));
  uv_read_stop(stream);
  uv_write(&rest->request, stream, &piece, 1, [](uv_write_t* request, int status) {
    uv_stream_t* written = request->handle;
    delete static_cast<Write*>(request->data);
    if (status == 0) {
      uv_read_start(written, &give_buffer, &received);
    } else {
      close_handle(written);
    }
  });
}

void connected(uv_stream_t* server, int status) {
  if (status < 0) {
    return;
  }
  auto* connection = new uv_tcp_t;
  uv_tcp_init(server->loop, connection);
  auto* stream = reinterpret_cast<uv_stream_t*>(connection);
  if (uv_accept(server, stream) == 0) {
    uv_tcp_nodelay(connection, 1);
    uv_read_start(stream, &give_buffer, &received);
  } else {
    close_handle(stream);
  }
}

}  // namespace

int main(int argc, char** argv) {
  discards = bench::discards(argc, argv);
  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t server;
  uv_tcp_init(loop, &server);
  uv_tcp_open(&server, bench::listen_anywhere());
  uv_listen(reinterpret_cast<uv_stream_t*>(&server), 4096, &connected);
  return uv_run(loop, UV_RUN_DEFAULT);
}
