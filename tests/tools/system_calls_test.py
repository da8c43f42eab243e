"""What an echo costs in system calls, counted by strace: no call that a hand-written loop would not make."""

import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from program import Server, main, receive

MESSAGES = 1000
LISTEN = 'tcp://127.0.0.1:0'
WAITS = ('epoll_wait', 'epoll_pwait', 'epoll_pwait2')


def can_trace():
    return shutil.which('strace') is not None and subprocess.run(
        ['strace', '-o', '/dev/null', 'true'], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


class TracedEcho:
    """`weir echo` under strace; `calls` afterwards says how often each system call was made."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory()
        self.output = pathlib.Path(self.folder.name) / 'calls'
        self.server = Server('echo', LISTEN, *arguments, under=('strace', '-f', '-c', '-o', str(self.output)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        children = pathlib.Path(f'/proc/{self.server.process.pid}/task/{self.server.process.pid}/children')
        for child in children.read_text().split():
            subprocess.run(['kill', '-s', str(int(signal.SIGINT)), child], check=True)
        self.server.end()
        self.calls = {}
        for line in self.output.read_text().splitlines():
            if found := re.match(r'\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$', line):
                self.calls[found.group(2)] = int(found.group(1))
        self.server.__exit__()
        self.folder.cleanup()

    def count(self, *names):
        return sum(self.calls.get(name, 0) for name in names)


@unittest.skipUnless(can_trace(), 'strace')
class SystemCalls(unittest.TestCase):
    def one_connection(self, api):
        echo = TracedEcho('--api', api)
        with echo:
            with echo.server.connect() as connection:
                for number in range(MESSAGES):
                    message = b'%064d' % number
                    connection.sendall(message)
                    self.assertEqual(receive(connection, len(message)), message)
        few = MESSAGES // 20
        # One wait, one receive and one send a message; the rest is starting, accepting and ending.
        for names in (WAITS, ('recvfrom', 'recv', 'read'), ('sendto', 'send', 'write')):
            self.assertLess(echo.count(*names), MESSAGES + 2 * few, (names, echo.calls))
        self.assertGreaterEqual(echo.count('recvfrom'), MESSAGES, echo.calls)
        self.assertGreaterEqual(echo.count('sendto'), MESSAGES, echo.calls)
        self.assertLess(echo.count('epoll_ctl'), few, echo.calls)
        # No other call for each message. sched_yield is how a sanitizer's runtime waits at the end.
        named = (*WAITS, 'recvfrom', 'recv', 'read', 'sendto', 'send', 'write', 'sched_yield', 'total')
        for name, count in echo.calls.items():
            if name not in named:
                self.assertLess(count, MESSAGES // 2, (name, echo.calls))

    def test_protocol(self):
        self.one_connection('protocol')

    def test_buffered(self):
        self.one_connection('buffered')

    def test_sock(self):
        self.one_connection('sock')

    def test_streams(self):
        self.one_connection('streams')

    def test_many_connections_share_a_wait(self):
        connections, rounds = 64, 20
        echo = TracedEcho()
        with echo:
            opened = [echo.server.connect() for _ in range(connections)]
            try:
                for number in range(rounds):
                    message = b'%064d' % number
                    for connection in opened:
                        connection.sendall(message)
                    for connection in opened:
                        self.assertEqual(receive(connection, len(message)), message)
            finally:
                for connection in opened:
                    connection.close()
        messages = connections * rounds
        self.assertGreaterEqual(echo.count('recvfrom'), messages)
        self.assertLess(echo.count(*WAITS), messages, echo.calls)


if __name__ == '__main__':
    main()
