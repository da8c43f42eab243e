"""`weir connect`: files, pipes and terminals as its input and output, against servers of the test's own and socat."""

import contextlib
import fcntl
import os
import pty
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

from program import LIMIT, WEIR, Server, default_interrupt, listener, main, noise, read_all

DATA = noise(5 << 20)


def connect(target, **streams):
    return subprocess.Popen([WEIR, 'connect', target], stderr=subprocess.PIPE, preexec_fn=default_interrupt, **streams)


def echo(connection):
    while data := connection.recv(1 << 16):
        connection.sendall(data)


class Connect(unittest.TestCase):
    def talk(self, target, data, **options):
        """What it writes when its input is a pipe with the data."""
        with connect(target, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options) as process:
            out, err = process.communicate(data, timeout=LIMIT)
            self.assertEqual((process.returncode, err), (0, b''))
            return out

    def test_a_pipe_there_and_back(self):
        with Server('echo', 'tcp://127.0.0.1:0') as server:
            for data in (b'', b'x', DATA):
                self.assertEqual(self.talk(server.target, data), data)

    def test_a_name(self):
        with Server('echo', 'tcp://127.0.0.1:0') as server:
            port = server.address()[1]
            self.assertEqual(self.talk(f'tcp://localhost:{port}', b'by name'), b'by name')

    def test_a_unix_socket_of_socat(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + '/socket'
            with subprocess.Popen(['socat', f'UNIX-LISTEN:{path}', 'EXEC:rev'], stdin=subprocess.DEVNULL) as server:
                while not os.path.exists(path):
                    self.assertIsNone(server.poll())
                self.assertEqual(self.talk(f'unix://{path}', b'abc\n'), b'cba\n')

    def test_files(self):
        with Server('echo', 'tcp://127.0.0.1:0') as server, tempfile.TemporaryFile() as there, tempfile.TemporaryFile() as back:
            there.write(b'skipped' + DATA)
            there.flush()
            os.lseek(there.fileno(), 7, os.SEEK_SET)
            with connect(server.target, stdin=there, stdout=back) as process:
                self.assertEqual((process.wait(LIMIT), process.stderr.read()), (0, b''))
            back.seek(0)
            self.assertEqual(back.read(), DATA)

    def test_nothing_and_nowhere(self):
        with Server('discard', 'tcp://127.0.0.1:0') as server:
            with connect(server.target, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
                self.assertEqual((process.wait(LIMIT), process.stderr.read()), (0, b''))

    def test_a_terminal_is_left_as_it_was(self):
        with Server('echo', 'tcp://127.0.0.1:0') as server:
            master, slave = pty.openpty()
            with connect(server.target, stdin=slave, stdout=subprocess.PIPE) as process:
                os.write(master, b'a line\n')
                self.assertEqual(process.stdout.readline(), b'a line\n')
                os.write(master, b'\x04')  # Ctrl-D
                self.assertEqual((process.wait(LIMIT), process.stdout.read(), process.stderr.read()), (0, b'', b''))
            self.assertFalse(fcntl.fcntl(slave, fcntl.F_GETFL) & os.O_NONBLOCK)
            os.close(master)
            os.close(slave)

    def test_it_ends_with_the_peer(self):
        with listener(lambda connection: connection.sendall(b'good bye')) as target:
            read_end, write_end = os.pipe()
            with connect(target, stdin=read_end, stdout=subprocess.PIPE) as process:  # whose input does not end
                self.assertEqual(process.stdout.read(), b'good bye')
                self.assertEqual((process.wait(LIMIT), process.stderr.read()), (0, b''))
            os.close(read_end)
            os.close(write_end)

    def test_a_slow_peer_holds_the_input_back(self):
        gate = threading.Event()
        received = []

        def slow(connection):
            gate.wait(LIMIT)
            received.append(read_all(connection))

        with listener(slow) as target:
            with connect(target, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
                os.set_blocking(process.stdin.fileno(), False)
                sent = 0
                block = bytes(1 << 16)
                while sent < (64 << 20):  # more than any socket buffer
                    try:
                        sent += os.write(process.stdin.fileno(), block)
                    except BlockingIOError:
                        if not self.moves(process.stdin.fileno()):
                            break
                self.assertLess(sent, 64 << 20)
                gate.set()
                process.stdin.close()
                self.assertEqual((process.wait(LIMIT), process.stderr.read()), (0, b''))
        self.assertEqual(len(received[0]), sent)

    @staticmethod
    def moves(descriptor):
        """Can more be written within half a second?"""
        import select
        return bool(select.select([], [descriptor], [], 0.5)[1])

    def test_nobody_there(self):
        with socket.create_server(('127.0.0.1', 0)) as closed:
            port = closed.getsockname()[1]
        with connect(f'tcp://127.0.0.1:{port}', stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            self.assertEqual((process.wait(LIMIT), process.stdout.read()), (1, b''))
            self.assertIn(f'127.0.0.1:{port}'.encode(), process.stderr.read())

    def test_a_reader_of_the_output_that_goes_away(self):
        with Server('echo', 'tcp://127.0.0.1:0') as server:
            with connect(server.target, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                process.stdout.close()
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(DATA)
                    process.stdin.close()
                self.assertEqual(process.wait(LIMIT), 1)
                self.assertNotEqual(process.stderr.read(), b'')


if __name__ == '__main__':
    main()
