"""What the tests of the weir program share: starting it, talking to it, and the closing line that tools/check counts.

A test waits for what the program says or does, never for time; the time limits only end a test that has failed.
"""

import contextlib
import hashlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import unittest

WEIR = os.environ['WEIR_PROGRAM']
BACKEND = os.environ['WEIR_BACKEND']
SANITIZERS = os.environ.get('WEIR_SANITIZERS', 'none').split(',')
LIMIT = 20  # seconds until a test gives up


def default_interrupt():
    """A shell that runs us in the background ignores SIGINT, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(*arguments, timeout=LIMIT, **options):
    """Runs the program to its end: (exit status, stdout, stderr)."""
    done = subprocess.run([WEIR, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, preexec_fn=default_interrupt, **options)
    return done.returncode, done.stdout, done.stderr


def connect(target, *arguments, data=b''):
    """Runs `weir connect` with the data as its input to its end: (exit status, what came back, stderr)."""
    done = subprocess.run([WEIR, 'connect', target, *map(str, arguments)], input=data, capture_output=True, timeout=LIMIT,
                          preexec_fn=default_interrupt)
    return done.returncode, done.stdout, done.stderr.decode()


class Server:
    """A verb that listens. Use it in `with`; it is killed at the end if it still runs."""

    def __init__(self, *arguments, listens=1, under=(), descriptors=None, environment=None):
        """`under`: a program and its arguments that run the verb. `descriptors`: the most it may have open."""
        def prepare():
            default_interrupt()
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.process = subprocess.Popen([*under, WEIR, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=prepare, env=environment)
        self.lines = []
        for _ in range(listens):
            line = self.process.stdout.readline()
            if not line:
                self.kill()
                raise AssertionError(f'weir {arguments} said no address but: {self.process.stderr.read()}')
            self.lines.append(line.rstrip('\n'))

    @property
    def target(self):
        return self.lines[0]

    def address(self, which=0):
        """As Python's sockets take it."""
        if path := re.fullmatch('unix://(.+)', self.lines[which]):
            return re.sub('^@', '\0', path.group(1))
        host, port = re.fullmatch(r'(?:tcp|tls)://\[?([^\]]+?)\]?:(\d+)', self.lines[which]).groups()
        return host, int(port)

    def connect(self, which=0):
        address = self.address(which)
        if isinstance(address, str):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(LIMIT)
            connection.connect(address)
            return connection
        connection = socket.create_connection(address, timeout=LIMIT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self):
        """Waits for its end: (exit status, what else it wrote to stdout, stderr)."""
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, err

    def peak_memory(self):
        """The most resident memory it ever had, in bytes."""
        with open(f'/proc/{self.process.pid}/status') as status:
            return 1024 * int(re.search(r'VmHWM:\s*(\d+) kB', status.read()).group(1))

    def processor_time(self):
        """What it has taken so far, in seconds."""
        with open(f'/proc/{self.process.pid}/stat') as stat:
            fields = stat.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stdout.close()
        self.process.stderr.close()


def noise(size):
    """Bytes that no shift, repetition or loss leaves the same."""
    block = b''.join(hashlib.sha256(b'%d' % number).digest() for number in range(4096))
    return (block * (size // len(block) + 1))[:size]


def receive(connection, size):
    """Exactly `size` bytes, or fewer when the stream ends. MSG_WAITALL does not wait on a socket that has a time limit."""
    data = bytearray()
    while len(data) < size and (piece := connection.recv(size - len(data))):
        data += piece
    return bytes(data)


def read_all(connection):
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b''.join(pieces)


def exchange(connection, data):
    """Sends all of it and ends the sending side, meanwhile reads until the end: what came back."""
    def send():
        with contextlib.suppress(OSError):  # the reader will miss what could not be sent
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        return read_all(connection)
    finally:
        sender.join()


@contextlib.contextmanager
def listener(serve):
    """A server of the test's own: `serve(connection)` runs in a thread for each connection. Gives its tcp:// address."""
    with socket.create_server(('127.0.0.1', 0)) as listening:
        threads = []

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connection.settimeout(LIMIT)
                    thread = threading.Thread(target=handle, args=(connection,))
                    threads.append(thread)
                    thread.start()

        def handle(connection):
            with connection, contextlib.suppress(OSError):
                serve(connection)

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield 'tcp://127.0.0.1:%d' % listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join()


def main():
    """Runs the tests of the calling file; a skipped one names the missing capability."""
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__']))
    failed = len(result.failures) + len(result.errors)
    for test, capability in result.skipped:
        print(f'weir-skip: {test.id().removeprefix("__main__.")} {capability}')
    passed = result.testsRun - failed - len(result.skipped)
    print(f'weir-tests: {os.environ["WEIR_TEST_SUITE"]} {BACKEND} passed={passed} failed={failed} '
          f'skipped={len(result.skipped)}')
    sys.exit(1 if failed else 0)
