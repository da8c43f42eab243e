"""weir relay between real clients and servers."""

import functools
import http.server
import pathlib
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

from program import LIMIT, Server, exchange, listener, main, noise, read_all, receive

LISTEN = 'tcp://127.0.0.1:0'


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Relay(unittest.TestCase):
    def test_both_directions_at_once(self):
        with Server('echo', LISTEN) as echo, Server('relay', LISTEN, echo.target) as relay:
            for size in (0, 1, 65537, 10 << 20):
                with self.subTest(size), relay.connect() as connection:
                    data = noise(size)
                    self.assertTrue(exchange(connection, data) == data)
            relay.interrupt()
            self.assertEqual(relay.end(), (130, '', ''))

    def test_between_tcp_and_unix_sockets(self):
        with tempfile.TemporaryDirectory() as folder:
            with Server('echo', f'unix://{folder}/echo') as echo, \
                    Server('relay', LISTEN, echo.target) as to_unix, \
                    Server('relay', f'unix://@{folder}/relay', to_unix.target) as from_unix, from_unix.connect() as connection:
                data = noise(1 << 20)
                self.assertTrue(exchange(connection, data) == data)

    def test_many_connections(self):
        with Server('echo', LISTEN) as echo, Server('relay', LISTEN, echo.target) as relay:
            connections = [relay.connect() for _ in range(100)]
            for number, connection in enumerate(connections):
                connection.sendall(b'%d' % number)
            for number, connection in enumerate(connections):
                text = b'%d' % number
                self.assertEqual(receive(connection, len(text)), text)
                connection.close()

    def test_a_reset_is_not_passed_on_as_an_end(self):
        got = []

        def serve(connection):
            try:
                got.append(read_all(connection))
            except ConnectionResetError:
                got.append('reset')
            ended.set()

        ended = threading.Event()
        with listener(serve) as target, Server('relay', LISTEN, target) as relay:
            connection = relay.connect()
            connection.sendall(b'half of it')
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            connection.close()
            self.assertTrue(ended.wait(LIMIT))
        self.assertEqual(got, ['reset'])

    @unittest.skipUnless(shutil.which('curl'), 'curl')
    def test_a_download_by_curl(self):
        with tempfile.TemporaryDirectory() as folder:
            data = noise(20 << 20)
            (pathlib.Path(folder) / 'file').write_bytes(data)
            handler = functools.partial(QuietHandler, directory=folder)
            web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
            thread = threading.Thread(target=web.serve_forever)
            thread.start()
            try:
                with Server('relay', LISTEN, 'tcp://127.0.0.1:%d' % web.server_port) as relay:
                    url = 'http://127.0.0.1:%d/file' % relay.address()[1]
                    done = subprocess.run(['curl', '-sS', '--noproxy', '*', '--max-time', str(LIMIT), url],
                                          stdin=subprocess.DEVNULL, capture_output=True)
                    self.assertEqual((done.returncode, done.stderr), (0, b''))
                    self.assertTrue(done.stdout == data)
            finally:
                web.shutdown()
                thread.join()
                web.server_close()

    def test_half_close_is_passed_on_both_ways(self):
        def answer_after_the_end(connection):
            question = read_all(connection)
            connection.sendall(b'you said ' + question)

        with listener(answer_after_the_end) as target, Server('relay', LISTEN, target) as relay, \
                relay.connect() as connection:
            connection.sendall(b'hello')
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(connection), b'you said hello')

    def test_the_targets_end_is_passed_on_while_the_client_still_sends(self):
        heard, done = [], threading.Event()

        def say_and_listen(connection):
            connection.sendall(b'welcome')
            connection.shutdown(socket.SHUT_WR)
            try:
                heard.append(read_all(connection))
            finally:
                done.set()

        with listener(say_and_listen) as target, Server('relay', LISTEN, target) as relay, \
                relay.connect() as connection:
            self.assertEqual(read_all(connection), b'welcome')
            connection.sendall(noise(1 << 20))
            connection.shutdown(socket.SHUT_WR)
            self.assertTrue(done.wait(LIMIT))
            self.assertTrue(heard == [noise(1 << 20)])

    def test_a_target_that_refuses_closes_the_client_and_is_told_once(self):
        with socket.create_server(('127.0.0.1', 0)) as gone:
            port = gone.getsockname()[1]
        with Server('relay', LISTEN, f'tcp://127.0.0.1:{port}') as relay:
            for _ in range(3):
                with relay.connect() as connection:
                    client = '%s:%d' % connection.getsockname()
                    try:
                        self.assertEqual(connection.recv(1), b'')
                    except ConnectionResetError:
                        pass
            relay.interrupt()
            status, _, err = relay.end()
            self.assertEqual(status, 130)
            lines = err.splitlines()
            self.assertEqual(len(lines), 3, err)
            self.assertRegex(lines[2], rf'^weir relay: {client}: .*127\.0\.0\.1:{port}.*refused')

    def test_a_reset_of_one_side_ends_the_other_and_is_told_once(self):
        ended = threading.Event()

        def read_on(connection):
            try:
                read_all(connection)
            finally:
                ended.set()

        with listener(read_on) as target, Server('relay', LISTEN, target) as relay:
            connection = relay.connect()
            connection.sendall(b'x')
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            connection.close()
            self.assertTrue(ended.wait(LIMIT))
            relay.interrupt()
            status, _, err = relay.end()
            self.assertEqual(status, 130)
            self.assertRegex(err, r'^weir relay: [^\n]*reset[^\n]*\n$')

    def flood(self, relay, writer):
        """Sends until nobody takes any more: how much that was."""
        before, data, sent = relay.peak_memory(), noise(1 << 16), 0
        writer.setblocking(False)
        while sent < 1 << 26 and select.select([], [writer], [], 0.5)[1]:
            sent += writer.send(data)
        self.assertLess(sent, 1 << 26, 'the relay took everything, though nobody read it')
        self.assertLess(relay.peak_memory() - before, 4 << 20)

    def test_a_target_that_does_not_read_stops_the_client(self):
        done = threading.Event()
        with listener(lambda connection: done.wait(LIMIT)) as target, Server('relay', LISTEN, target) as relay, \
                relay.connect() as connection:
            self.flood(relay, connection)
            relay.interrupt()
            self.assertEqual(relay.end()[0], 130)
            done.set()

    def test_a_client_that_does_not_read_stops_the_target(self):
        flooded = threading.Event()
        problems = []

        def pour(connection):
            try:
                self.flood(relay, connection)
            except AssertionError as problem:
                problems.append(problem)
            finally:
                flooded.set()

        with listener(pour) as target, Server('relay', LISTEN, target) as relay, relay.connect():
            self.assertTrue(flooded.wait(LIMIT))
            self.assertEqual(problems, [])

    def test_ctrl_c_drops_both_sides(self):
        ends = []

        def read_on(connection):
            connection.sendall(b'!')
            try:
                ends.append(read_all(connection))
            except ConnectionResetError:
                ends.append(b'')

        with listener(read_on) as target:
            with Server('relay', LISTEN, target) as relay, relay.connect() as connection:
                self.assertEqual(connection.recv(1), b'!')
                relay.interrupt()
                self.assertEqual(relay.end(), (130, '', ''))
        self.assertEqual(ends, [b''])


if __name__ == '__main__':
    main()
