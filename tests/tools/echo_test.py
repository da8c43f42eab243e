"""weir echo, driven by plain sockets: with each API, everything comes back, in order, and nothing else."""

import contextlib
import os
import pathlib
import select
import socket
import tempfile
import time
import unittest

from program import LIMIT, SANITIZERS, Server, exchange, main, noise, read_all, receive, run

APIS = ('protocol', 'buffered', 'sock', 'streams')
LISTEN = 'tcp://127.0.0.1:0'


class Echo(unittest.TestCase):
    def each_api(self, *arguments, environment=None):
        for api in APIS:
            with self.subTest(api), Server('echo', LISTEN, '--api', api, *arguments, environment=environment) as server:
                yield server

    def test_everything_comes_back_and_then_the_end(self):
        for server in self.each_api():
            for size in (0, 1, 2, 1023, 65536, 65537, 1 << 20, 10 << 20):
                with self.subTest(size), server.connect() as connection:
                    data = noise(size)
                    self.assertTrue(exchange(connection, data) == data)

    def test_a_message_comes_back_before_the_next_is_sent(self):
        for server in self.each_api():
            with server.connect() as connection:
                for size in (1, 10, 5000, 3):
                    connection.sendall(noise(size))
                    self.assertEqual(receive(connection, size), noise(size))

    def test_half_close_is_answered_with_all_that_was_sent(self):
        for server in self.each_api():
            with server.connect() as connection:
                connection.sendall(b'before')
                connection.shutdown(socket.SHUT_WR)
                self.assertEqual(read_all(connection), b'before')

    def test_many_connections_at_once(self):
        for server in self.each_api():
            connections = [server.connect() for _ in range(200)]
            for number, connection in enumerate(connections):
                connection.sendall(b'%d' % number)
            for number, connection in enumerate(connections):
                text = b'%d' % number
                self.assertEqual(receive(connection, len(text)), text)
                connection.close()

    def test_a_reset_disturbs_nobody(self):
        for server in self.each_api():
            with server.connect() as other:
                connection = server.connect()
                connection.sendall(noise(100000))
                # Closing with a time of 0 to linger sends a reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
                connection.close()
                other.sendall(b'still there')
                self.assertEqual(receive(other, 11), b'still there')
            server.interrupt()
            self.assertEqual(server.end(), (130, '', ''))

    def test_a_client_that_does_not_read_is_not_read_from(self):
        # The sanitizer would keep what is freed for a while, to see whether it is used.
        options = ':'.join(filter(None, (os.environ.get('ASAN_OPTIONS'), 'quarantine_size_mb=0', 'thread_local_quarantine_size_kb=0')))
        for server in self.each_api(environment={**os.environ, 'ASAN_OPTIONS': options}):
            with server.connect() as connection:
                # Use it once, so that only what the flood costs is measured.
                connection.sendall(b'x')
                connection.recv(1)
                before, flood, sent = server.peak_memory(), noise(1 << 16), 0
                connection.setblocking(False)
                # The system's buffers hold some; after that, nobody takes any more.
                while sent < 1 << 26 and select.select([], [connection], [], 0.5)[1]:
                    sent += connection.send(flood[sent % len(flood):])
                self.assertLess(sent, 1 << 26, 'the server took everything, though nobody read its answers')
                self.assertLess(server.peak_memory() - before, 4 << 20)
                # Both sides' windows are closed, and open by timers of the kernel's that double: now and then that takes long.
                connection.settimeout(4 * LIMIT)
                connection.shutdown(socket.SHUT_WR)
                answer = read_all(connection)
                self.assertTrue(answer == (flood * (sent // len(flood) + 1))[:sent])

    # The sanitizer of undefined behaviour opens a pipe for each type that it has not seen yet.
    @unittest.skipIf('undefined' in SANITIZERS, 'sanitizer_without_descriptors')
    def test_out_of_descriptors_it_waits_until_some_are_free(self):
        """LESSON-005: it neither spins nor floods the log meanwhile, and goes on within the second of its pause."""
        for api, descriptors, clients in (('protocol', 64, 200), ('sock', 20, 30)):
            with self.subTest(api), Server('echo', LISTEN, '--api', api, descriptors=descriptors) as server:
                connections = [server.connect() for _ in range(clients)]
                connections[0].sendall(b'first')
                self.assertEqual(receive(connections[0], 5), b'first')
                begun, busy = time.monotonic(), server.processor_time()
                # Nothing tells when it does nothing: what that takes is measured.
                self.assertEqual(select.select([connections[-1]], [], [], 1)[0], [])
                self.assertLess(server.processor_time() - busy, 0.05 * (time.monotonic() - begun))
                for connection in connections:
                    connection.close()
                freed = time.monotonic()
                with server.connect() as connection:
                    self.assertEqual(exchange(connection, b'last'), b'last')
                # Those who wait come first, as many at a time as there are descriptors.
                self.assertLess(time.monotonic() - freed, 1.5 * (1 + clients / (descriptors - 15)))
                total = time.monotonic() - begun
                server.interrupt()
                status, _, err = server.end()
                self.assertEqual(status, 130)
                self.assertIn('Too many open files', err)
                self.assertLessEqual(err.count('Too many open files'), total + 2)

    def test_once_serves_one_connection_and_ends_with_0(self):
        for server in self.each_api('--once'):
            with server.connect() as connection:
                connection.sendall(b'one')
                self.assertEqual(receive(connection, 3), b'one')
                # It listens no more, while the first connection is served.
                with self.assertRaises(OSError):
                    server.connect().close()
                connection.sendall(b'more')
                self.assertEqual(receive(connection, 4), b'more')
            self.assertEqual(server.end(), (0, '', ''))

    def test_once_with_several_addresses_serves_one_connection(self):
        for api in APIS:
            with self.subTest(api), Server('echo', LISTEN, LISTEN, '--api', api, '--once', listens=2) as server:
                with server.connect(1) as connection:
                    data = noise(1000)
                    self.assertEqual(exchange(connection, data), data)
                self.assertEqual(server.end(), (0, '', ''))

    def test_unix_sockets_by_path_and_by_name(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'echo')
            for api in APIS:
                # What a dead server left is replaced.
                with contextlib.closing(socket.socket(socket.AF_UNIX)) as dead:
                    dead.bind(str(path))
                with self.subTest(api), Server('echo', f'unix://{path}', f'unix://@{path}', '--api', api, listens=2) as server:
                    self.assertEqual(server.lines, [f'unix://{path}', f'unix://@{path}'])
                    for which in (0, 1):
                        with server.connect(which) as connection:
                            data = noise(1 << 20)
                            self.assertTrue(exchange(connection, data) == data)
                    server.interrupt()
                    self.assertEqual(server.end(), (130, '', ''))
                    self.assertFalse(path.exists())

    def test_the_path_of_a_file_is_left_alone(self):
        with tempfile.NamedTemporaryFile() as file:
            for api in APIS:
                status, out, err = run('echo', f'unix://{file.name}', '--api', api)
                self.assertEqual((status, out), (1, ''))
                self.assertRegex(err, rf'^weir echo: [^\n]*{file.name}[^\n]*[Aa]ddress already in use\n$')
                self.assertTrue(os.path.exists(file.name))

    def test_it_listens_on_each_address_and_prints_them_in_order(self):
        for api in APIS:
            with self.subTest(api), Server('echo', LISTEN, 'tcp://0.0.0.0:0', '--api', api, listens=2) as server:
                self.assertRegex(server.lines[0], r'^tcp://127\.0\.0\.1:[1-9]\d*$')
                self.assertRegex(server.lines[1], r'^tcp://0\.0\.0\.0:[1-9]\d*$')
                self.assertNotEqual(server.address(0)[1], server.address(1)[1])
                for which in range(2):
                    with server.connect(which) as connection:
                        self.assertEqual(exchange(connection, b'here'), b'here')

    def test_ipv6(self):
        if '  ipv6                yes' not in run('info')[1]:
            self.skipTest('ipv6')
        for api in APIS:
            with self.subTest(api), Server('echo', 'tcp://[::1]:0', '--api', api) as server:
                self.assertRegex(server.target, r'^tcp://\[::1\]:[1-9]\d*$')
                with server.connect() as connection:
                    self.assertEqual(exchange(connection, b'six'), b'six')

    def test_busy_poll(self):
        for server in self.each_api('--busy-poll', '50us'):
            with server.connect() as connection:
                self.assertEqual(exchange(connection, noise(1000)), noise(1000))

    def test_max_read(self):
        for server in self.each_api('--max-read', '262144'):
            with server.connect() as connection:
                self.assertEqual(exchange(connection, noise(3000000)), noise(3000000))


class Interrupt(unittest.TestCase):
    def test_ctrl_c_ends_every_server_cleanly(self):
        verbs = [['echo', LISTEN, '--api', api] for api in APIS]
        verbs += [['discard', LISTEN], ['relay', LISTEN, 'tcp://127.0.0.1:9']]
        for arguments in verbs:
            with self.subTest(arguments), Server(*arguments) as server:
                server.interrupt()
                self.assertEqual(server.end(), (130, '', ''))

    def test_ctrl_c_drops_what_is_connected(self):
        for api in APIS:
            with self.subTest(api), Server('echo', LISTEN, '--api', api) as server, server.connect() as idle, \
                    server.connect() as busy:
                idle.sendall(b'x')
                self.assertEqual(idle.recv(1), b'x')
                busy.setblocking(False)  # has sent more than comes back
                while select.select([], [busy], [], 0.2)[1]:
                    busy.send(noise(1 << 16))
                server.interrupt()
                self.assertEqual(server.end(), (130, '', ''))


class Discard(unittest.TestCase):
    def test_it_reads_and_answers_nothing(self):
        with Server('discard', LISTEN) as server:
            before = server.peak_memory()
            for size in (0, 1, 64 << 20):
                with server.connect() as connection:
                    self.assertEqual(exchange(connection, noise(size)), b'')
            self.assertLess(server.peak_memory() - before, 4 << 20)


if __name__ == '__main__':
    main()
