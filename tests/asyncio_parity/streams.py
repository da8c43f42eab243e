"""The life of transports: the order of calls, ends of both kinds, exceptions of protocols. Mirrored by streams.cpp."""

import asyncio

from trace import Oops, kind, outcome, outcome_of, scenario, settle, trace
from wire import LARGE, BufferedRecorder, Recorder, arrived, read_all, reset, wire


def throw(text):
    raise Oops(text)


@scenario
async def made_data_end_lost(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    trace('connected', protocol.transport.is_closing(), protocol.transport.is_reading())
    await loop.sock_sendall(peer, b'hello')
    peer.close()
    await protocol.lost
    trace(protocol.transport.is_closing(), protocol.transport.is_reading())


@scenario
async def close_sends_what_is_written(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    protocol.transport.write(b'x' * LARGE)
    trace(protocol.transport.get_write_buffer_size() > 0)
    protocol.transport.close()
    trace('closed', protocol.transport.is_closing(), protocol.lost.done())
    protocol.transport.close()
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def close_with_nothing_to_send(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    protocol.transport.close()
    trace('closed', protocol.transport.is_closing())
    loop.call_soon(trace, 'soon')
    trace(outcome(lambda: protocol.transport.write(b'ignored')))
    await protocol.lost
    trace(await read_all(loop, peer))
    peer.close()


@scenario
async def abort_drops_what_is_written(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    transport.write(b'x' * LARGE)
    transport.abort()
    trace('aborted', transport.is_closing(), transport.get_write_buffer_size())
    transport.abort()
    transport.close()
    await protocol.lost
    await settle()
    peer.close()


@scenario
async def abort_after_close(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    transport.write(b'x' * LARGE)
    transport.close()
    transport.abort()
    trace('aborted', transport.get_write_buffer_size())
    await protocol.lost
    await settle()
    peer.close()


@scenario
async def write_eof_and_an_answer(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    trace(transport.can_write_eof())
    transport.write(b'question')
    transport.write_eof()
    transport.write_eof()
    trace(outcome(lambda: transport.write(b'more')))
    trace(await read_all(loop, peer), transport.is_closing())
    await loop.sock_sendall(peer, b'answer')
    await arrived(protocol, 6)
    peer.close()
    await protocol.lost


@scenario
async def write_eof_behind_much(loop):
    protocol = Recorder()
    protocol.keep_open = True
    peer = await wire(loop, protocol)
    transport = protocol.transport
    transport.write(b'x' * LARGE)
    transport.write_eof()
    trace(transport.get_write_buffer_size() > 0)
    trace(await read_all(loop, peer), transport.is_closing())
    transport.close()
    transport.write_eof()
    await protocol.lost
    peer.close()


@scenario
async def writelines_in_order(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    protocol.transport.write(b'')
    protocol.transport.write(b'a')
    protocol.transport.writelines([b'b', b'', b'c'])
    protocol.transport.write(b'd')
    protocol.transport.close()
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def an_end_that_closes(loop):
    protocol = Recorder()
    protocol.hooks['eof'] = lambda: (trace(protocol.transport.is_closing()), protocol.transport.write(b'last words'))
    peer = await wire(loop, protocol)
    peer.shutdown(1)
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def an_end_that_leaves_open(loop):
    protocol = Recorder()
    protocol.keep_open = True
    peer = await wire(loop, protocol)
    ended = loop.create_future()
    protocol.hooks['eof'] = lambda: ended.set_result(None)
    await loop.sock_sendall(peer, b'request')
    peer.shutdown(1)
    await ended
    await settle()
    transport = protocol.transport
    trace(transport.is_closing(), protocol.lost.done())
    transport.write(b'response')
    transport.close()
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def an_end_with_much_to_write(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    protocol.transport.write(b'x' * LARGE)
    peer.shutdown(1)
    while not protocol.transport.is_closing():
        await asyncio.sleep(0)
    trace('closing', protocol.lost.done())
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def a_reset(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    await loop.sock_sendall(peer, b'data')
    await arrived(protocol, 4)
    reset(peer)
    await protocol.lost
    trace(outcome(lambda: protocol.transport.write(b'ignored')), protocol.transport.is_closing())


@scenario
async def data_received_throws(loop):
    protocol = Recorder()
    protocol.hooks['data'] = lambda: throw('data')
    peer = await wire(loop, protocol)
    await loop.sock_sendall(peer, b'x')
    await protocol.lost
    peer.close()


@scenario
async def eof_received_throws(loop):
    protocol = Recorder()
    protocol.hooks['eof'] = lambda: throw('eof')
    peer = await wire(loop, protocol)
    peer.shutdown(1)
    await protocol.lost
    peer.close()


@scenario
async def connection_made_and_lost_throw(loop):
    loop.set_exception_handler(lambda _, context: trace('report:', kind(context['exception'])))
    protocol = Recorder()
    protocol.hooks['made'] = lambda: throw('made')
    protocol.hooks['lost'] = lambda: throw('lost')
    peer = await wire(loop, protocol)
    await loop.sock_sendall(peer, b'goes on')
    await arrived(protocol, 7)
    trace(protocol.received.decode())
    peer.close()
    await protocol.lost
    await settle()


@scenario
async def closed_in_connection_made(loop):
    protocol = Recorder()
    protocol.hooks['made'] = lambda: protocol.transport.close()
    protocol.hooks['data'] = lambda: trace('never')
    peer = await wire(loop, protocol)
    await protocol.lost
    trace(await read_all(loop, peer))
    peer.close()


@scenario
async def written_in_connection_made(loop):
    protocol = Recorder()
    protocol.hooks['made'] = lambda: (protocol.transport.write(b'greeting'), protocol.transport.write_eof())
    peer = await wire(loop, protocol)
    trace(await read_all(loop, peer))
    peer.close()
    await protocol.lost


@scenario
async def everything_in_connection_lost(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport

    def lost():
        transport.write(b'ignored')
        transport.write_eof()
        transport.pause_reading()
        transport.resume_reading()
        transport.close()
        transport.abort()
        trace(transport.is_closing(), transport.is_reading(), transport.get_write_buffer_size())
    protocol.hooks['lost'] = lost
    peer.close()
    await protocol.lost
    await settle()


@scenario
async def closed_in_data_received(loop):
    protocol = Recorder()
    protocol.hooks['data'] = lambda: (trace('data', protocol.received.decode()), protocol.transport.close())
    peer = await wire(loop, protocol)
    await loop.sock_sendall(peer, b'1')
    await protocol.lost
    await outcome_of(loop.sock_sendall(peer, b'2'))
    await settle()
    peer.close()


@scenario
async def aborted_in_eof_received(loop):
    protocol = Recorder()
    protocol.keep_open = True
    protocol.hooks['eof'] = lambda: protocol.transport.abort()
    peer = await wire(loop, protocol)
    peer.shutdown(1)
    await protocol.lost
    peer.close()


@scenario
async def another_protocol(loop):
    first, second, third = Recorder('first'), Recorder('second'), BufferedRecorder('third')
    peer = await wire(loop, first)
    transport = first.transport
    for protocol in (first, second, third):
        transport.set_protocol(protocol)
        trace(transport.get_protocol() is protocol)
        await loop.sock_sendall(peer, b'data')
        await arrived(protocol, 4)
    peer.close()
    await third.lost
    trace(first.received.decode(), second.received.decode(), first.lost.done(), second.lost.done())


@scenario
async def a_buffered_protocol(loop):
    protocol = BufferedRecorder()
    peer = await wire(loop, protocol)
    await loop.sock_sendall(peer, b'x' * 1000)
    peer.close()
    await protocol.lost


@scenario
async def buffer_updated_throws(loop):
    protocol = BufferedRecorder()
    protocol.hooks['data'] = lambda: throw('data')
    peer = await wire(loop, protocol)
    await loop.sock_sendall(peer, b'x')
    await protocol.lost
    peer.close()


@scenario
async def get_buffer_throws(loop):
    protocol = BufferedRecorder()
    protocol.hooks['get_buffer'] = lambda: throw('get_buffer')
    peer = await wire(loop, protocol)
    await loop.sock_sendall(peer, b'x')
    await protocol.lost
    peer.close()


@scenario
async def get_buffer_gives_nothing(loop):
    protocol = BufferedRecorder()
    protocol.memory = bytearray()
    peer = await wire(loop, protocol)
    await loop.sock_sendall(peer, b'x')
    await protocol.lost
    peer.close()


@scenario
async def extra_information(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    trace(transport.get_extra_info('peername') == peer.getsockname(),
          transport.get_extra_info('sockname') == peer.getpeername())
    peer_address = peer.getsockname()
    protocol.hooks['lost'] = lambda: trace(transport.get_extra_info('peername') == peer_address)
    transport.close()
    await protocol.lost
    peer.close()


# --- Both sides


@scenario
async def both_sides_of_a_connection(loop):
    served = []

    def factory():
        served.append(Recorder('server', True))
        served[0].hooks['data'] = lambda: served[0].transport.write(served[0].received[-1:])
        return served[0]
    server = await loop.create_server(factory, '127.0.0.1', 0)
    address = server.sockets[0].getsockname()
    transport, client = await loop.create_connection(lambda: Recorder('client', True), *address)
    for byte in (b'a', b'b', b'c'):
        transport.write(byte)
        await arrived(client, len(client.received) + 1)
    transport.write_eof()
    await client.lost
    await served[0].lost
    print(*client.kept, *served[0].kept, sep='\n')
    server.close()


@scenario
async def a_server_that_closes(loop):
    served = []

    def factory():
        served.append(Recorder('server', True))
        return served[-1]
    server = await loop.create_server(factory, '127.0.0.1', 0)
    trace(server.is_serving(), len(server.sockets))
    address = server.sockets[0].getsockname()
    transport, client = await loop.create_connection(lambda: Recorder('client', True), *address)
    transport.write(b'1')
    while not served or not served[0].received:
        await asyncio.sleep(0)
    server.close()
    server.close()
    trace(server.is_serving(), len(server.sockets))
    trace(await outcome_of(loop.create_connection(Recorder, *address)))
    served[0].transport.write(b'lives on')
    await arrived(client, 8)
    served[0].transport.close()
    await client.lost
    await served[0].lost
    print(*client.kept, *served[0].kept, sep='\n')
