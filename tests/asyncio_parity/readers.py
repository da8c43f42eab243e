"""StreamReader and StreamWriter: reads, their limits, drain, ends of all kinds. Mirrored by readers.cpp."""

import asyncio

from trace import outcome_of, scenario, settle, trace
from wire import LARGE, connected_sockets, read_all, reset


async def failure(read):
    try:
        trace('read', (await read).decode())
    except asyncio.IncompleteReadError as e:
        trace('incomplete', e.partial.decode(), e.expected, e)
    except asyncio.LimitOverrunError as e:
        trace('limit', e.consumed, e)
    except (ValueError, RuntimeError) as e:
        trace(type(e).__name__, e)
    except (asyncio.CancelledError, OSError) as e:
        trace(type(e).__name__)


async def connect(loop):
    near, far = await connected_sockets(loop)
    reader, writer = await asyncio.open_connection(sock=near)
    return reader, writer, far


async def drained(writer, name):
    trace(name, await outcome_of(writer.drain()))


@scenario
async def readuntil_and_its_limit(loop):
    reader = asyncio.StreamReader(3, loop)
    reader.feed_data(b'abc--')
    await failure(reader.readuntil(b'--'))
    reader.feed_data(b'abcdef')
    await failure(reader.readuntil(b'--'))
    await failure(reader.readuntil(b'--'))
    reader.feed_data(b'--')
    await failure(reader.readuntil(b'--'))
    await failure(reader.readexactly(8))
    reader.feed_data(b'ab')
    waiting = loop.create_task(failure(reader.readuntil(b'!')))
    await asyncio.sleep(0)
    reader.feed_data(b'cdef')
    reader.feed_data(b'!')
    await waiting
    reader.feed_eof()
    await failure(reader.readuntil(b'?'))
    trace(reader.at_eof())


@scenario
async def lines_over_the_limit(loop):
    reader = asyncio.StreamReader(3, loop)
    reader.feed_data(b'long line\nok\n')
    await failure(reader.readline())
    await failure(reader.readline())
    reader.feed_data(b'without end')
    await failure(reader.readline())
    reader.feed_data(b'!\nrest')
    reader.feed_eof()
    await failure(reader.readline())
    await failure(reader.readline())
    await failure(reader.readline())


@scenario
async def a_separator_in_pieces(loop):
    reader = asyncio.StreamReader(loop=loop)
    waiting = loop.create_task(failure(reader.readuntil(b'<end>')))
    for piece in (b'text<', b'e', b'<en', b'd', b'>more<end>'):
        await asyncio.sleep(0)
        reader.feed_data(piece)
        trace('fed', piece.decode(), waiting.done())
    await waiting
    await failure(reader.readuntil(b'<end>'))


@scenario
async def exactly_so_much(loop):
    reader = asyncio.StreamReader(loop=loop)
    waiting = loop.create_task(failure(reader.readexactly(5)))
    for piece in (b'ab', b'cd', b'ef'):
        await asyncio.sleep(0)
        reader.feed_data(piece)
    await waiting
    waiting = loop.create_task(failure(reader.readexactly(5)))
    await asyncio.sleep(0)
    reader.feed_eof()
    await waiting
    await failure(reader.read(5))
    await failure(reader.read())


@scenario
async def two_readers(loop):
    reader = asyncio.StreamReader(loop=loop)
    first = loop.create_task(failure(reader.read(5)))
    await asyncio.sleep(0)
    await failure(reader.readline())
    await failure(reader.readexactly(1))
    reader.feed_data(b'one')
    await first
    reader.feed_data(b'two')
    await failure(reader.read(5))


@scenario
async def a_cancelled_read(loop):
    reader = asyncio.StreamReader(loop=loop)
    for after_data in (False, True):
        reading = loop.create_task(reader.read(10))
        await asyncio.sleep(0)
        if after_data:
            reader.feed_data(b'data')
        reading.cancel('enough')
        trace(await outcome_of(reading))
        if not after_data:
            reader.feed_data(b'data')
        await failure(reader.read(10))


@scenario
async def an_exception_while_reading(loop):
    reader = asyncio.StreamReader(loop=loop)
    waiting = loop.create_task(failure(reader.read(5)))
    await asyncio.sleep(0)
    reader.set_exception(ValueError('broken'))
    await waiting
    await failure(reader.read(0))
    await failure(reader.readline())
    second = asyncio.StreamReader(loop=loop)
    waiting = loop.create_task(failure(second.read(5)))
    await asyncio.sleep(0)
    second.feed_data(b'first')
    second.set_exception(ValueError('then broken'))
    await waiting
    await failure(second.read(5))


@scenario
async def drain_while_paused(loop):
    reader, writer, peer = await connect(loop)
    await drained(writer, 'nothing written')
    writer.write(b'x' * LARGE)
    tasks = [loop.create_task(drained(writer, name)) for name in 'abc']
    await settle()
    trace('all wait', *(task.done() for task in tasks))
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    reading = loop.create_task(read_all(loop, peer))
    await tasks[0]
    await tasks[2]
    writer.close()
    trace(await reading)
    await writer.wait_closed()
    trace(await outcome_of(writer.drain()))


@scenario
async def lost_in_drain(loop):
    reader, writer, peer = await connect(loop)
    writer.write(b'x' * LARGE)
    draining = loop.create_task(drained(writer, 'waiting'))
    await settle()
    writer.transport.abort()
    await settle()  # a system that has been given the bytes gives them back first
    await drained(writer, 'aborted')
    await draining
    await drained(writer, 'after it')
    trace(await outcome_of(writer.wait_closed()))
    await failure(reader.read())
    peer.close()


@scenario
async def reset_while_reading(loop):
    reader, writer, peer = await connect(loop)
    reading = loop.create_task(failure(reader.readline()))
    await settle()
    reset(peer)
    await reading
    await drained(writer, 'reset')
    trace(await outcome_of(writer.wait_closed()), reader.at_eof())


@scenario
async def ends_in_both_orders(loop):
    for mine_first in (True, False):
        reader, writer, peer = await connect(loop)
        await loop.sock_sendall(peer, b'last words')
        if mine_first:
            writer.write_eof()
            trace(await read_all(loop, peer))
        peer.close()
        await failure(reader.read())
        trace(reader.at_eof(), writer.is_closing())
        writer.close()
        trace(writer.is_closing())
        await writer.wait_closed()
        await failure(reader.read(1))
