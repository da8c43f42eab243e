"""weir ping: its figures, its progress bar, and its exit status when something is wrong."""

import errno
import os
import pty
import re
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from program import LIMIT, WEIR, Server, default_interrupt, listener, main, receive, run

LISTEN = 'tcp://127.0.0.1:0'


def read_to_the_end(controller):
    """All that a terminal was given which nobody has open any more: it comes in pieces."""
    with open(controller, 'rb', buffering=0) as file:
        try:
            while piece := file.read(1 << 16):
                yield piece.decode()
        except OSError as error:
            if error.errno != errno.EIO:
                raise


class Ping(unittest.TestCase):
    def test_it_counts_and_sums_up(self):
        with Server('echo', LISTEN) as echo:
            for arguments, first in (
                    ([], '1000 round trips of 64 bytes to {} on 1 connection in '),
                    (['--count', 1], '1 round trips of 64 bytes to {} on 1 connection in '),
                    (['--count', 200, '--size', 100000, '--connections', 7],
                     '200 round trips of 100000 bytes to {} on 7 connections in '),
                    (['--count', 3, '--connections', 20], '3 round trips of 64 bytes to {} on 20 connections in '),
                    (['--count', 2, '--size', 10 << 20], '2 round trips of 10485760 bytes to {} on 1 connection in ')):
                with self.subTest(arguments):
                    status, out, err = run('ping', echo.target, *arguments)
                    self.assertEqual((status, err), (0, ''))
                    lines = out.splitlines()
                    self.assertEqual(len(lines), 3, out)
                    self.assertTrue(lines[0].startswith(first.format(echo.target)), lines[0])
                    figures = re.fullmatch(r'latency: min (.+), mean (.+), median (.+), p99 (.+), max (.+)', lines[1])
                    scale = {'ns': 1, 'us': 1e3, 'ms': 1e6, 's': 1e9}
                    least, mean, median, p99, most = (float(number) * scale[unit] for number, unit in
                                                      (figure.split() for figure in figures.groups()))
                    self.assertLess(0, least)
                    self.assertTrue(least <= median <= p99 <= most and least <= mean <= most, lines[1])
                    self.assertRegex(lines[2], r'^rate: \d+ round trips/s, \d+\.\d MiB/s each way$')

    def test_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            with Server('echo', f'unix://{folder}/echo') as echo:
                status, out, err = run('ping', echo.target, '--count', 100, '--connections', 5)
                self.assertEqual((status, err), (0, ''))
                self.assertIn(f'100 round trips of 64 bytes to unix://{folder}/echo on 5 connections', out)
            status, out, err = run('ping', f'unix://{folder}/nobody')
            self.assertEqual((status, out), (1, ''))
            self.assertRegex(err, rf'^weir ping: [^\n]*{folder}/nobody: No such file or directory\n$')

    def test_nobody_listens(self):
        with socket.create_server(('127.0.0.1', 0)) as gone:
            port = gone.getsockname()[1]
        for connections in (1, 5):
            status, out, err = run('ping', f'tcp://127.0.0.1:{port}', '--connections', connections)
            self.assertEqual((status, out), (1, ''))
            self.assertRegex(err, rf'^weir ping: [^\n]*127\.0\.0\.1:{port}: Connection refused\n$')

    def fails(self, serve, pattern, *arguments):
        with listener(serve) as target:
            status, out, err = run('ping', target, *arguments)
        self.assertEqual((status, out), (1, ''))
        self.assertRegex(err, rf'^weir ping: {pattern}\n$')

    def test_a_wrong_byte(self):
        def flip(connection):
            connection.sendall(receive(connection, 64))
            second = bytearray(receive(connection, 64))
            second[9] ^= 1
            connection.sendall(second)
            connection.recv(1)
        self.fails(flip, 'connection 1 of 1: byte 10 of round trip 2 came back wrong')

    def test_the_answer_to_another_round_trip(self):
        def repeat(connection):
            first = receive(connection, 64)
            connection.sendall(first)
            receive(connection, 64)
            connection.sendall(first)
            connection.recv(1)
        self.fails(repeat, r'connection 1 of 1: byte \d+ of round trip 2 came back wrong')

    def test_more_than_was_sent(self):
        def babble(connection):
            connection.sendall(receive(connection, 64) + b'?')
            connection.recv(1)
        self.fails(babble, 'connection 1 of 1: more came back than was sent in round trip 1')

    def test_the_other_side_closes(self):
        def leave(connection):
            connection.recv(10)
        self.fails(leave, 'connection 1 of 1: .*', '--size', 10)

    def test_nothing_comes_back(self):
        ended = []

        def listen(connection):
            while connection.recv(1000):
                pass
            ended.append(True)
        self.fails(listen, 'nothing came back for 100 ms', '--timeout', '100ms')
        self.assertEqual(ended, [True])

    def test_ctrl_c(self):
        reached = threading.Event()

        def listen(connection):
            connection.recv(1)
            reached.set()
            while connection.recv(1000):
                pass
        with listener(listen) as target:
            ping = subprocess.Popen([WEIR, 'ping', target], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, preexec_fn=default_interrupt)
            self.assertTrue(reached.wait(LIMIT))
            ping.send_signal(signal.SIGINT)
            self.assertEqual(ping.communicate(timeout=LIMIT), ('', ''))
            self.assertEqual(ping.returncode, 130)

    def test_the_progress_bar_is_for_a_terminal(self):
        controller, terminal = pty.openpty()
        try:
            with Server('echo', LISTEN) as echo:
                done = subprocess.run([WEIR, 'ping', echo.target, '--count', '2000'], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=terminal, text=True, timeout=LIMIT)
        finally:
            os.close(terminal)
        drawn = ''.join(read_to_the_end(controller))
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.startswith('2000 round trips'))
        self.assertIn('[' + '.' * 40 + '] 0 of 2000', drawn)
        self.assertTrue(drawn.endswith('\r\033[K'), 'the bar is wiped at the end')


if __name__ == '__main__':
    main()
