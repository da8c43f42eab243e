"""Flow control both ways: limits, pausing and resuming. Mirrored by flow.cpp."""

import asyncio

from trace import Oops, outcome, scenario, settle, text, trace
from wire import LARGE, BufferedRecorder, Recorder, arrived, read_all, wire


def limits(transport):
    low, high = transport.get_write_buffer_limits()
    return f'{low}..{high}'


async def resumed(protocol):
    while 'protocol resume_writing' not in protocol.kept:
        await asyncio.sleep(0)


@scenario
async def limits_of_the_write_buffer(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    trace(limits(transport), transport.get_write_buffer_size())
    for given in ({}, {'high': 1000}, {'low': 1000}, {'high': 1000, 'low': 10}, {'high': 0}, {'low': 0}, {'high': 5, 'low': 5}):
        transport.set_write_buffer_limits(**given)
        trace(limits(transport))
    for given in ({'high': 1, 'low': 2}, {'high': -1}, {'low': -1}):
        trace(outcome(lambda: transport.set_write_buffer_limits(**given)), limits(transport))
    transport.close()
    await protocol.lost
    peer.close()


@scenario
async def paused_inside_the_write(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    protocol.hooks['pause_writing'] = lambda: trace(transport.get_write_buffer_size() > 65536)
    protocol.hooks['resume_writing'] = lambda: (trace(transport.get_write_buffer_size() <= 16384), loop.call_soon(transport.close))
    trace('writes')
    transport.write(b'x' * LARGE)
    trace('wrote')
    transport.write(b'x' * LARGE)
    trace('wrote more')
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def paused_once_and_again(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    rounds = []

    def produce():
        rounds.append(len(rounds))
        if len(rounds) <= 3:
            transport.write(b'x' * LARGE)
        else:
            loop.call_soon(transport.close)
    protocol.hooks['resume_writing'] = produce
    produce()
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def a_limit_of_nothing(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    transport.set_write_buffer_limits(high=0)
    transport.write(b'x' * LARGE)
    protocol.hooks['resume_writing'] = lambda: (trace(transport.get_write_buffer_size()), loop.call_soon(transport.close))
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def a_high_limit(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    transport.set_write_buffer_limits(high=4 * LARGE)
    transport.write(b'x' * LARGE)
    trace('not paused', transport.get_write_buffer_size() > 0)
    transport.set_write_buffer_limits(high=1000)
    trace('limits set')
    transport.close()
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def aborted_while_paused(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    protocol.hooks['pause_writing'] = lambda: transport.abort()
    transport.write(b'x' * LARGE)
    trace(transport.is_closing())
    await protocol.lost
    peer.close()


@scenario
async def closed_in_pause_writing(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    protocol.hooks['pause_writing'] = lambda: transport.close()
    transport.write(b'x' * LARGE)
    trace(transport.is_closing())
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def pausing_and_resuming_throw(loop):
    def throw(text):
        raise Oops(text)
    protocol = Recorder()
    protocol.hooks['pause_writing'] = lambda: throw('pause')
    protocol.hooks['resume_writing'] = lambda: throw('resume')
    peer = await wire(loop, protocol)
    protocol.transport.write(b'x' * LARGE)
    trace('wrote')
    protocol.transport.close()
    trace(await read_all(loop, peer))
    await protocol.lost
    peer.close()


@scenario
async def reading_is_paused(loop):
    protocol = Recorder()
    peer = await wire(loop, protocol)
    transport = protocol.transport
    transport.pause_reading()
    transport.pause_reading()
    trace(transport.is_reading())
    await loop.sock_sendall(peer, b'waits')
    await settle()
    trace('nothing came:', protocol.received == b'')
    transport.resume_reading()
    transport.resume_reading()
    trace(transport.is_reading(), protocol.received == b'')
    await arrived(protocol, 5)
    trace(protocol.received.decode())
    transport.close()
    transport.pause_reading()
    transport.resume_reading()
    trace(transport.is_reading())
    await protocol.lost
    peer.close()


@scenario
async def reading_is_paused_by_what_arrives(loop):
    protocol = Recorder()
    protocol.hooks['data'] = lambda: (trace('data', protocol.received.decode()), protocol.transport.pause_reading())
    peer = await wire(loop, protocol)
    for number in (1, 2, 3):
        await loop.sock_sendall(peer, text(number).encode())
        await settle()
        trace('so far', protocol.received.decode())
        protocol.transport.resume_reading()
        await arrived(protocol, number)
    peer.close()
    protocol.transport.resume_reading()
    await protocol.lost


@scenario
async def a_buffered_reader_is_paused(loop):
    protocol = BufferedRecorder()
    protocol.hooks['data'] = lambda: protocol.transport.pause_reading()
    peer = await wire(loop, protocol)
    await loop.sock_sendall(peer, b'x' * 250)
    peer.close()
    while not protocol.lost.done():
        await settle()
        trace('at most 100 came:', len(protocol.received) <= 100)
        protocol.memory = bytearray(1000)
        protocol.hooks['data'] = lambda: None
        protocol.transport.resume_reading()
        await protocol.lost


@scenario
async def writing_while_reading_is_paused(loop):
    protocol = Recorder(keep=True)
    peer = await wire(loop, protocol)
    protocol.transport.pause_reading()
    protocol.transport.write(b'x' * LARGE)
    protocol.transport.write_eof()
    trace(await read_all(loop, peer))
    await resumed(protocol)
    peer.close()
    protocol.transport.resume_reading()
    await protocol.lost
    print(*protocol.kept, sep='\n')
