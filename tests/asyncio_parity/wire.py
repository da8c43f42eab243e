"""Connections to test with: a transport whose other end is a plain socket. Mirrored by wire.hpp."""

import asyncio
import socket

from trace import kind, text, trace

LARGE = 1 << 20  # more than the system takes between two ends with buffers of BUFFER bytes
BUFFER = 1 << 16


class Events:
    """Traces what happens to a protocol, or keeps it in `kept` where the order with others is chance; then calls the hook."""

    def __init__(self, name='protocol', keep=False):
        self.name, self.kept = name, [] if keep else None
        self.transport, self.received, self.keep_open = None, b'', False
        self.lost = asyncio.get_running_loop().create_future()
        self.hooks = {}

    def happened(self, event, *details):
        if self.kept is None:
            trace(self.name, event, *details)
        else:
            self.kept.append(' '.join([self.name, event, *map(text, details)]))
        self.hooks.get(event, lambda: None)()

    def connection_made(self, transport):
        self.transport = transport
        self.happened('made')

    def took(self, data):
        self.received += data
        self.hooks.get('data', lambda: None)()

    def eof_received(self):
        self.happened('eof', 'after', brief(self.received))
        return self.keep_open

    def connection_lost(self, exception):
        self.lost.set_result(None)
        self.happened('lost', kind(exception))

    def pause_writing(self):
        self.happened('pause_writing')

    def resume_writing(self):
        self.happened('resume_writing')


class Recorder(Events, asyncio.Protocol):
    def data_received(self, data):
        self.took(data)


class BufferedRecorder(Events, asyncio.BufferedProtocol):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.memory = bytearray(100)

    def get_buffer(self, _):
        self.hooks.get('get_buffer', lambda: None)()
        return self.memory

    def buffer_updated(self, count):
        self.took(bytes(self.memory[:count]))


def brief(data):
    return text(data.decode()) if len(data) < 40 else f'{len(data)} bytes'


def listening_socket():
    listener = socket.socket()
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    listener.bind(('127.0.0.1', 0))
    listener.listen()
    return listener


async def connected_sockets(loop):
    listener, near = listening_socket(), socket.socket()
    near.setblocking(False)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    connecting = loop.create_task(loop.sock_connect(near, listener.getsockname()))
    far, _ = await loop.sock_accept(listener)
    await connecting
    listener.close()
    return near, far


async def wire(loop, protocol):
    """Gives the protocol a transport: the socket at its other end."""
    near, far = await connected_sockets(loop)
    await loop.create_connection(lambda: protocol, sock=near)
    return far


async def read_all(loop, sock):
    """What comes until the end, in brief; or the error."""
    pieces = b''
    try:
        while piece := await loop.sock_recv(sock, 65536):
            pieces += piece
    except OSError as e:
        return kind(e)
    return brief(pieces)


async def arrived(protocol, size):
    while len(protocol.received) < size:
        await asyncio.sleep(0)


def reset(sock):
    """Closes the socket so that the other side gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    sock.close()
