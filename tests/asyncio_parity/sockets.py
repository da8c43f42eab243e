"""The sock_… calls, and watching descriptors. Mirrored by sockets.cpp."""

import asyncio
import socket

from trace import Oops, outcome, outcome_of, scenario, settle, trace
from wire import LARGE, brief, connected_sockets, listening_socket, read_all, reset


async def receive(loop, sock, size):
    return brief(await loop.sock_recv(sock, size))


@scenario
async def a_conversation(loop):
    near, far = await connected_sockets(loop)
    await loop.sock_sendall(near, b'?')
    trace(await receive(loop, far, 10))
    await loop.sock_sendall(far, b'!')
    far.close()
    trace(await receive(loop, near, 10))
    trace(await receive(loop, near, 10) == '', await receive(loop, near, 10) == '')
    near.close()


@scenario
async def receiving_into_memory(loop):
    near, far = await connected_sockets(loop)
    buffer = bytearray(3)
    await loop.sock_sendall(near, b'abcd')
    near.close()
    received = b''
    while count := await loop.sock_recv_into(far, buffer):
        received += buffer[:count]
    trace(received.decode(), await loop.sock_recv_into(far, buffer))
    far.close()


@scenario
async def sending_much(loop):
    near, far = await connected_sockets(loop)

    async def send():
        await loop.sock_sendall(near, b'x' * LARGE)
        trace('sent')
        near.shutdown(socket.SHUT_WR)
    task = loop.create_task(send())
    await settle()
    trace(task.done())
    trace(await read_all(loop, far))
    await task
    near.close()
    far.close()


@scenario
async def nobody_listens(loop):
    listener, near = listening_socket(), socket.socket()
    address = listener.getsockname()
    listener.close()
    near.setblocking(False)
    trace(await outcome_of(loop.sock_connect(near, address)))
    near.close()


@scenario
async def a_reset_ends_receiving(loop):
    near, far = await connected_sockets(loop)
    task = loop.create_task(receive(loop, near, 10))
    await asyncio.sleep(0)
    reset(far)
    trace(await outcome_of(task))
    near.close()


@scenario
async def receiving_is_cancelled(loop):
    near, far = await connected_sockets(loop)
    task = loop.create_task(receive(loop, near, 10))
    await settle()
    trace(task.cancel('why'), task.done())
    trace(await outcome_of(task))
    await loop.sock_sendall(far, b'x')
    trace(await receive(loop, near, 10))
    near.close()
    far.close()


@scenario
async def accepting_is_cancelled(loop):
    listener = listening_socket()

    async def accept():
        connection, address = await loop.sock_accept(listener)
        return connection
    task = loop.create_task(accept())
    await settle()
    task.cancel()
    trace(await outcome_of(task))
    near = socket.socket()
    near.setblocking(False)
    await loop.sock_connect(near, listener.getsockname())
    far, address = await loop.sock_accept(listener)
    trace(address == near.getsockname())
    await loop.sock_sendall(far, b'welcome')
    far.close()
    trace(await read_all(loop, near))
    near.close()
    listener.close()


@scenario
async def a_reader(loop):
    near, far = await connected_sockets(loop)
    done = loop.create_future()
    calls = []

    def readable():
        calls.append(len(calls))
        if len(calls) == 3:
            trace('called in every turn until it is read', loop.remove_reader(near), loop.remove_reader(near))
            done.set_result(None)
    loop.add_reader(near, lambda: trace('replaced'))
    loop.add_reader(near, readable)
    await settle()
    trace(len(calls))
    await loop.sock_sendall(far, b'x')
    await done
    await settle()
    trace(len(calls), await receive(loop, near, 10))
    near.close()
    far.close()


@scenario
async def a_writer(loop):
    near, far = await connected_sockets(loop)
    done = loop.create_future()
    loop.add_writer(near, lambda: (trace('writable', loop.remove_writer(near)), done.set_result(None)))
    await done
    trace(loop.remove_writer(near), loop.remove_reader(near))
    near.close()
    far.close()


@scenario
async def a_reader_that_throws(loop):
    near, far = await connected_sockets(loop)
    done = loop.create_future()
    calls = []

    def readable():
        calls.append(len(calls))
        if len(calls) == 2:
            loop.remove_reader(near)
            done.set_result(None)
        raise Oops('reader')
    loop.add_reader(near, readable)
    await loop.sock_sendall(far, b'x')
    await done
    trace(len(calls))
    near.close()
    far.close()


@scenario
async def a_reader_sees_the_end(loop):
    near, far = await connected_sockets(loop)
    done = loop.create_future()
    loop.add_reader(near, lambda: (trace('readable'), loop.remove_reader(near), done.set_result(None)))
    far.close()
    await done
    trace(await receive(loop, near, 10) == '')
    near.close()


@scenario
async def two_readers_of_two_sockets(loop):
    first, first_far = await connected_sockets(loop)
    second, second_far = await connected_sockets(loop)
    done = loop.create_future()

    def readable():
        trace('the first removes the second', loop.remove_reader(first), loop.remove_reader(second))
        done.set_result(None)
    loop.add_reader(first, readable)
    loop.add_reader(second, lambda: trace('never'))
    await loop.sock_sendall(first_far, b'x')
    await done
    await loop.sock_sendall(second_far, b'x')
    await settle()
    for sock in (first, first_far, second, second_far):
        sock.close()
