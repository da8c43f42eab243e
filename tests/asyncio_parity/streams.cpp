// The life of transports: the order of calls, ends of both kinds, exceptions of protocols. Mirrored by
// streams.py.
#include "tests/asyncio_parity/wire.hpp"

#include <weir/net/extra.hpp>

#include <array>
#include <chrono>

using namespace parity;
using namespace std::chrono_literals;
using weir::Coro;
using weir::EventLoop;
using weir::make_ref;
using weir::Ref;
using weir::sleep;

namespace {

constexpr const char* group = "streams";

auto throwing(std::string text) {
  return [text = std::move(text)] { throw Oops(text); };
}

std::string much() { return std::string(large, 'x'); }

}  // namespace

SCENARIO(made_data_end_lost) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  trace("connected", transport->is_closing(), transport->is_reading());
  co_await loop.sock_sendall(peer, "hello");
  peer.close();
  co_await protocol->lost;
  trace(transport->is_closing(), transport->is_reading());
}

SCENARIO(close_sends_what_is_written) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  protocol->transport->write(much());
  trace(protocol->transport->get_write_buffer_size() > 0);
  protocol->transport->close();
  trace("closed", protocol->transport->is_closing(), protocol->lost.done());
  protocol->transport->close();
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(close_with_nothing_to_send) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  protocol->transport->close();
  trace("closed", protocol->transport->is_closing());
  loop.call_soon([] { trace("soon"); });
  trace(outcome([&] { protocol->transport->write("ignored"); }));
  co_await protocol->lost;
  trace(co_await read_all(loop, peer));
}

SCENARIO(abort_drops_what_is_written) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  transport->write(much());
  transport->abort();
  trace("aborted", transport->is_closing(), transport->get_write_buffer_size());
  transport->abort();
  transport->close();
  co_await protocol->lost;
  co_await settle();
}

SCENARIO(abort_after_close) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  transport->write(much());
  transport->close();
  transport->abort();
  trace("aborted", transport->get_write_buffer_size());
  co_await protocol->lost;
  co_await settle();
}

SCENARIO(write_eof_and_an_answer) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  trace(transport->can_write_eof());
  transport->write("question");
  transport->write_eof();
  transport->write_eof();
  trace(outcome([&] { transport->write("more"); }));
  const std::string read = co_await read_all(loop, peer);
  trace(read, transport->is_closing());
  co_await loop.sock_sendall(peer, "answer");
  co_await arrived(protocol, 6);
  peer.close();
  co_await protocol->lost;
}

SCENARIO(write_eof_behind_much) {
  auto protocol = make_ref<Recorder>();
  protocol->keep_open = true;
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  transport->write(much());
  transport->write_eof();
  trace(transport->get_write_buffer_size() > 0);
  const std::string read = co_await read_all(loop, peer);
  trace(read, transport->is_closing());
  transport->close();
  transport->write_eof();
  co_await protocol->lost;
}

SCENARIO(writelines_in_order) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  protocol->transport->write("");
  protocol->transport->write("a");
  const std::array pieces{weir::as_bytes("b"), weir::as_bytes(""), weir::as_bytes("c")};
  protocol->transport->writelines(pieces);
  protocol->transport->write("d");
  protocol->transport->close();
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(an_end_that_closes) {
  auto protocol = make_ref<Recorder>();
  protocol->hooks["eof"] = [own = protocol.get()] {
    trace(own->transport->is_closing());
    own->transport->write("last words");
  };
  auto peer = co_await wire(loop, protocol);
  peer.shutdown_write();
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(an_end_that_leaves_open) {
  auto protocol = make_ref<Recorder>();
  protocol->keep_open = true;
  auto peer = co_await wire(loop, protocol);
  auto ended = loop.create_future<void>();
  protocol->hooks["eof"] = [&ended] { ended.set_result(); };
  co_await loop.sock_sendall(peer, "request");
  peer.shutdown_write();
  co_await ended;
  co_await settle();
  const auto transport = protocol->transport;
  trace(transport->is_closing(), protocol->lost.done());
  transport->write("response");
  transport->close();
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(an_end_with_much_to_write) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  protocol->transport->write(much());
  peer.shutdown_write();
  while (!protocol->transport->is_closing()) {
    co_await sleep(0s);
  }
  trace("closing", protocol->lost.done());
  trace(co_await read_all(loop, peer));
  co_await protocol->lost;
}

SCENARIO(a_reset) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  co_await loop.sock_sendall(peer, "data");
  co_await arrived(protocol, 4);
  reset(peer);
  co_await protocol->lost;
  trace(outcome([&] { transport->write("ignored"); }), transport->is_closing());
}

SCENARIO(data_received_throws) {
  auto protocol = make_ref<Recorder>();
  protocol->hooks["data"] = throwing("data");
  auto peer = co_await wire(loop, protocol);
  co_await loop.sock_sendall(peer, "x");
  co_await protocol->lost;
}

SCENARIO(eof_received_throws) {
  auto protocol = make_ref<Recorder>();
  protocol->hooks["eof"] = throwing("eof");
  auto peer = co_await wire(loop, protocol);
  peer.shutdown_write();
  co_await protocol->lost;
}

SCENARIO(connection_made_and_lost_throw) {
  loop.set_exception_handler(
      [](EventLoop&, const weir::ExceptionContext& context) { trace("report:", context.exception); });
  auto protocol = make_ref<Recorder>();
  protocol->hooks["made"] = throwing("made");
  protocol->hooks["lost"] = throwing("lost");
  auto peer = co_await wire(loop, protocol);
  co_await loop.sock_sendall(peer, "goes on");
  co_await arrived(protocol, 7);
  trace(protocol->received);
  peer.close();
  co_await protocol->lost;
  co_await settle();
}

SCENARIO(closed_in_connection_made) {
  auto protocol = make_ref<Recorder>();
  protocol->hooks["made"] = [own = protocol.get()] { own->transport->close(); };
  protocol->hooks["data"] = [] { trace("never"); };
  auto peer = co_await wire(loop, protocol);
  co_await protocol->lost;
  trace(co_await read_all(loop, peer));
}

SCENARIO(written_in_connection_made) {
  auto protocol = make_ref<Recorder>();
  protocol->hooks["made"] = [own = protocol.get()] {
    own->transport->write("greeting");
    own->transport->write_eof();
  };
  auto peer = co_await wire(loop, protocol);
  trace(co_await read_all(loop, peer));
  peer.close();
  co_await protocol->lost;
}

SCENARIO(everything_in_connection_lost) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  protocol->hooks["lost"] = [&] {
    transport->write("ignored");
    transport->write_eof();
    transport->pause_reading();
    transport->resume_reading();
    transport->close();
    transport->abort();
    trace(transport->is_closing(), transport->is_reading(), transport->get_write_buffer_size());
  };
  peer.close();
  co_await protocol->lost;
  co_await settle();
}

SCENARIO(closed_in_data_received) {
  auto protocol = make_ref<Recorder>();
  protocol->hooks["data"] = [own = protocol.get()] {
    trace("data", own->received);
    own->transport->close();
  };
  auto peer = co_await wire(loop, protocol);
  co_await loop.sock_sendall(peer, "1");
  co_await protocol->lost;
  auto sending = weir::ensure_future(loop.sock_sendall(peer, "2"), &loop);
  co_await outcome_of<void>(sending);
  co_await settle();
}

SCENARIO(aborted_in_eof_received) {
  auto protocol = make_ref<Recorder>();
  protocol->keep_open = true;
  protocol->hooks["eof"] = [own = protocol.get()] { own->transport->abort(); };
  auto peer = co_await wire(loop, protocol);
  peer.shutdown_write();
  co_await protocol->lost;
}

SCENARIO(another_protocol) {
  auto first = make_ref<Recorder>("first");
  auto second = make_ref<Recorder>("second");
  auto third = make_ref<BufferedRecorder>("third");
  auto peer = co_await wire(loop, first);
  const auto transport = std::exchange(first->transport, nullptr);
  for (const Ref<Recorder>& protocol : {first, second}) {
    transport->set_protocol(protocol);
    trace(transport->get_protocol() == Ref<weir::BaseProtocol>(protocol));
    co_await loop.sock_sendall(peer, "data");
    co_await arrived(protocol, 4);
  }
  transport->set_protocol(third);
  trace(transport->get_protocol() == Ref<weir::BaseProtocol>(third));
  co_await loop.sock_sendall(peer, "data");
  co_await arrived(third, 4);
  peer.close();
  co_await third->lost;
  trace(first->received, second->received, first->lost.done(), second->lost.done());
}

SCENARIO(a_buffered_protocol) {
  auto protocol = make_ref<BufferedRecorder>();
  auto peer = co_await wire(loop, protocol);
  const std::string sent(1000, 'x');
  co_await loop.sock_sendall(peer, sent);
  peer.close();
  co_await protocol->lost;
}

SCENARIO(buffer_updated_throws) {
  auto protocol = make_ref<BufferedRecorder>();
  protocol->hooks["data"] = throwing("data");
  auto peer = co_await wire(loop, protocol);
  co_await loop.sock_sendall(peer, "x");
  co_await protocol->lost;
}

SCENARIO(get_buffer_throws) {
  auto protocol = make_ref<BufferedRecorder>();
  protocol->hooks["get_buffer"] = throwing("get_buffer");
  auto peer = co_await wire(loop, protocol);
  co_await loop.sock_sendall(peer, "x");
  co_await protocol->lost;
}

SCENARIO(get_buffer_gives_nothing) {
  auto protocol = make_ref<BufferedRecorder>();
  protocol->memory.clear();
  auto peer = co_await wire(loop, protocol);
  co_await loop.sock_sendall(peer, "x");
  co_await protocol->lost;
}

SCENARIO(extra_information) {
  auto protocol = make_ref<Recorder>();
  auto peer = co_await wire(loop, protocol);
  const auto transport = protocol->transport;
  const weir::Address peer_address = peer.local_address();
  trace(transport->get_extra_info<weir::extra::peername>() == peer_address,
        transport->get_extra_info<weir::extra::sockname>() == peer.peer_address());
  protocol->hooks["lost"] = [&] {
    trace(transport->get_extra_info<weir::extra::peername>() == peer_address);
  };
  transport->close();
  co_await protocol->lost;
}

// --- Both sides

SCENARIO(both_sides_of_a_connection) {
  auto served = make_ref<Recorder>("server", true);
  served->hooks["data"] = [own = served.get()] {
    own->transport->write(own->received.substr(own->received.size() - 1));
  };
  const auto factory = [&served] { return served; };
  auto server = co_await loop.create_server(factory, {.host = "127.0.0.1", .port = 0});
  const weir::Address address = server->sockets().front().local_address();
  const auto client_factory = [] { return make_ref<Recorder>("client", true); };
  auto [transport, client] =
      co_await loop.create_connection(client_factory, {.host = "127.0.0.1", .port = address.port()});
  for (const char* byte : {"a", "b", "c"}) {
    transport->write(byte);
    co_await arrived(client, client->received.size() + 1);
  }
  transport->write_eof();
  co_await client->lost;
  co_await served->lost;
  for (const Ref<Recorder>& side : {client, served}) {
    for (const std::string& line : side->kept) {
      trace(line);
    }
  }
  server->close();
}

SCENARIO(a_server_that_closes) {
  auto served = make_ref<Recorder>("server", true);
  const auto factory = [&served] { return served; };
  auto server = co_await loop.create_server(factory, {.host = "127.0.0.1", .port = 0});
  trace(server->is_serving(), server->sockets().size());
  const weir::Address address = server->sockets().front().local_address();
  const weir::ConnectionOptions there{.host = "127.0.0.1", .port = address.port()};
  const auto client_factory = [] { return make_ref<Recorder>("client", true); };
  auto [transport, client] = co_await loop.create_connection(client_factory, there);
  transport->write("1");
  co_await arrived(served, 1);
  server->close();
  server->close();
  trace(server->is_serving(), server->sockets().size());
  std::string refused = "no error";
  try {
    co_await loop.create_connection(client_factory, there);
  } catch (...) {
    refused = kind(std::current_exception());
  }
  trace(refused);
  served->transport->write("lives on");
  co_await arrived(client, 8);
  served->transport->close();
  co_await client->lost;
  co_await served->lost;
  for (const Ref<Recorder>& side : {client, served}) {
    for (const std::string& line : side->kept) {
      trace(line);
    }
  }
}
