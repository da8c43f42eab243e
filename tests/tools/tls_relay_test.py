"""`weir relay` with TLS on one side or both: it ends it for a server without, and begins it for a client without."""

import contextlib
import os
import select
import socket
import ssl
import tempfile
import threading

from certificates import TlsTestCase, tls_listener
from program import LIMIT, Server, listener, main, noise, read_all, receive, run

PLAIN, TLS = 'tcp://127.0.0.1:0', 'tls://127.0.0.1:0'


class TlsRelay(TlsTestCase):
    def terminating(self, target, *arguments, **options):
        return Server('relay', TLS, target, *self.made.listening(), *arguments, **options)

    def originating(self, target, *arguments):
        return Server('relay', PLAIN, target, '--cafile', self.made.ca, *arguments)

    def connect(self, server):
        return self.made.client_context().wrap_socket(server.connect(), server_hostname='127.0.0.1')

    def test_terminating_in_front_of_tcp_and_unix_sockets(self):
        with tempfile.TemporaryDirectory() as folder:
            for listen in (PLAIN, f'unix://{folder}/echo'):
                with self.subTest(listen), Server('echo', listen) as echo, self.terminating(echo.target) as relay:
                    with self.connect(relay) as connection:
                        for size in (1, 16385, 1 << 17):
                            connection.sendall(noise(size))
                            self.assertTrue(receive(connection, size) == noise(size))
                        connection.unwrap().close()
                    self.ends_well(relay)

    def test_originating(self):
        with Server('echo', TLS, *self.made.listening()) as echo, self.originating(echo.target) as relay:
            with relay.connect() as connection:
                for size in (1, 16385, 1 << 17):
                    connection.sendall(noise(size))
                    self.assertTrue(receive(connection, size) == noise(size))
            self.ends_well(relay)

    def test_many_connections_through_both(self):
        with Server('echo', PLAIN) as echo, self.terminating(echo.target) as front, \
                self.originating(front.target) as back:
            status, out, err = run('ping', back.target, '--connections', 20, '--count', 1000, '--size', 5000)
            self.assertEqual((status, err), (0, ''))
            status, out, err = run('ping', front.target, '--cafile', self.made.ca, '--connections', 20, '--count', 1000)
            self.assertEqual((status, err), (0, ''))

    def test_from_tls_to_tls(self):
        with Server('echo', TLS, *self.made.listening()) as echo, \
                self.terminating(echo.target, '--cafile', self.made.ca) as relay, self.connect(relay) as connection:
            connection.sendall(b'hello')
            self.assertEqual(receive(connection, 5), b'hello')
            connection.unwrap().close()
            self.ends_well(relay)

    def test_a_large_download_from_a_target_that_ends(self):
        """All of it arrives, and then the end, said in the words of TLS."""
        data = noise(5 << 20)
        with listener(lambda connection: connection.sendall(data)) as target, self.terminating(target) as relay, \
                self.connect(relay) as connection:
            self.assertTrue(read_all(connection) == data)  # a cut would be an error
            self.ends_well(relay)

    def test_a_client_of_tls_that_ends(self):
        heard, done = [], threading.Event()

        def listen_to_the_end(connection):
            try:
                heard.append(read_all(connection))
            finally:
                done.set()

        with listener(listen_to_the_end) as target, self.terminating(target) as relay, self.connect(relay) as connection:
            connection.sendall(noise(1 << 20))
            connection.unwrap().close()
            self.assertTrue(done.wait(LIMIT))
            self.assertTrue(heard == [noise(1 << 20)])
            self.ends_well(relay)

    def test_a_cut_is_not_passed_on_as_an_end(self):
        heard, done = [], threading.Event()

        def listen_to_the_end(connection):
            try:
                heard.append(read_all(connection))
            except ConnectionResetError:
                heard.append('reset')
            finally:
                done.set()

        with listener(listen_to_the_end) as target, self.terminating(target) as relay:
            with self.connect(relay) as connection:
                connection.sendall(b'half of it')
                connection.shutdown(socket.SHUT_WR)  # of TCP alone
                self.assertTrue(done.wait(LIMIT))
            self.assertEqual(heard, ['reset'])
            relay.interrupt()
            status, _, err = relay.end()
            self.assertEqual(status, 130)
            self.assertRegex(err, r'^weir relay: 127\.0\.0\.1:\d+: [^\n]*without a close notification\n$')

    def test_a_client_without_tls_that_ends_gets_its_answer(self):
        """TLS cannot tell the target about the end of the client alone."""
        release = threading.Event()

        def answer_late(connection):
            question = receive(connection, 5)
            release.wait(LIMIT)
            connection.sendall(b'you said ' + question)
            connection.unwrap()

        with tls_listener(self.made.server_context(), answer_late) as target, self.originating(target) as relay, \
                relay.connect() as connection:
            connection.sendall(b'hello')
            connection.shutdown(socket.SHUT_WR)
            release.set()
            self.assertEqual(read_all(connection), b'you said hello')
            self.ends_well(relay)

    def test_a_target_that_says_nothing_after_the_end_of_its_client(self):
        ended = threading.Event()

        def read_on(connection):
            read_all(connection)
            ended.set()

        with tls_listener(self.made.server_context(), read_on) as target, \
                self.originating(target, '--idle-timeout', '100ms') as relay, relay.connect() as connection:
            connection.sendall(b'hello')
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(connection), b'')
            self.assertTrue(ended.wait(LIMIT))
            self.ends_well(relay)

    def test_a_target_that_is_not_trusted_is_told_once(self):
        for name, why in (('other', 'another host'), ('expired', 'has expired'), ('alone', 'self-signed')):
            with self.subTest(name), Server('echo', TLS, *self.made.listening(name)) as echo, self.originating(echo.target) as relay:
                with relay.connect() as connection, contextlib.suppress(ConnectionResetError):
                    self.assertEqual(connection.recv(1), b'')
                relay.interrupt()
                status, _, err = relay.end()
                self.assertEqual(status, 130)
                self.assertRegex(err, rf'^weir relay: 127\.0\.0\.1:\d+: [^\n]*{why}\n$')

    def test_insecure(self):
        with Server('echo', TLS, *self.made.listening('alone')) as echo, Server('relay', PLAIN, echo.target, '--insecure') as relay:
            with relay.connect() as connection:
                connection.sendall(b'hello')
                self.assertEqual(receive(connection, 5), b'hello')
            relay.interrupt()
            status, _, err = relay.end()
            self.assertEqual(status, 130)
            self.assertIn('weir relay: WARNING: --insecure', err)

    def test_alpn_on_both_sides(self):
        with Server('echo', TLS, '--alpn', 'echo', *self.made.listening()) as echo, \
                self.terminating(echo.target, '--cafile', self.made.ca, '--alpn', 'echo') as relay:
            context = self.made.client_context()
            context.set_alpn_protocols(['other', 'echo'])
            with context.wrap_socket(relay.connect(), server_hostname='127.0.0.1') as connection:
                self.assertEqual(connection.selected_alpn_protocol(), 'echo')
                connection.sendall(b'hello')
                self.assertEqual(receive(connection, 5), b'hello')

    def test_client_certificates_on_both_sides(self):
        with Server('echo', TLS, '--client-ca', self.made.ca, *self.made.listening()) as echo, \
                self.originating(echo.target, *self.made.showing()) as relay, relay.connect() as connection:
            connection.sendall(b'hello')
            self.assertEqual(receive(connection, 5), b'hello')
        with Server('echo', PLAIN) as echo, self.terminating(echo.target, '--client-ca', self.made.ca) as relay, \
                self.assertRaises(ssl.SSLError), self.connect(relay) as connection:
            connection.recv(1)

    def test_a_client_that_does_not_read_stops_the_target(self):
        """The flood stands still, and arrives to its last byte when it is read."""
        data = noise(64 << 20)  # more than the buffers of the system hold
        sent, stands_still, read_on = [0], threading.Event(), threading.Event()

        def pour(connection):
            connection.setblocking(False)
            while sent[0] < len(data) and select.select([], [connection], [], 0.5)[1]:
                sent[0] += connection.send(data[sent[0]:sent[0] + (1 << 16)])
            stands_still.set()
            read_on.wait(LIMIT)

        # The sanitizer would keep what is freed for a while, to see whether it is used.
        options = ':'.join(filter(None, (os.environ.get('ASAN_OPTIONS'), 'quarantine_size_mb=0', 'thread_local_quarantine_size_kb=0')))
        with listener(pour) as target, \
                self.terminating(target, environment={**os.environ, 'ASAN_OPTIONS': options}) as relay, \
                self.connect(relay) as connection:
            self.assertEqual(receive(connection, 1), data[:1])
            before = relay.peak_memory()
            self.assertTrue(stands_still.wait(LIMIT))
            read_on.set()
            self.assertLess(sent[0], len(data), 'the relay took everything, though nobody read it')
            self.assertLess(relay.peak_memory() - before, 4 << 20)
            self.assertTrue(read_all(connection) == data[1:sent[0]])

    def test_ctrl_c_drops_both_sides(self):
        with Server('echo', TLS, *self.made.listening()) as echo, self.originating(echo.target) as relay, \
                relay.connect() as connection:
            connection.sendall(b'x')
            self.assertEqual(connection.recv(1), b'x')
            self.ends_well(relay)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(connection.recv(1), b'')


if __name__ == '__main__':
    main()
