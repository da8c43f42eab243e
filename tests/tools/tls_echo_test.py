"""`weir echo tls://` and discard, driven by Python's ssl and by openssl s_client."""

import contextlib
import ssl
import subprocess
import threading

from certificates import TlsTestCase
from program import LIMIT, Server, main, noise, receive

APIS = ('protocol', 'buffered', 'streams')
LISTEN = 'tls://127.0.0.1:0'


class TlsEcho(TlsTestCase):
    def echo(self, *arguments, **options):
        return Server('echo', *arguments, *self.made.listening(), **options)

    def connect(self, server, context=None, name='127.0.0.1', which=0):
        return (context or self.made.client_context()).wrap_socket(server.connect(which), server_hostname=name)

    def test_everything_comes_back_and_the_end_is_answered(self):
        for api in APIS:
            with self.subTest(api), self.echo(LISTEN, '--api', api) as server:
                self.assertRegex(server.target, r'^tls://127\.0\.0\.1:\d+$')
                for size in (1, 1023, 16384, 16385, 100000):
                    with self.subTest(size), self.connect(server) as connection:
                        for _ in range(4):
                            connection.sendall(noise(size))
                            self.assertTrue(receive(connection, size) == noise(size))
                        connection.unwrap().close()  # returns when the other side has said its end too
                self.ends_well(server)

    def test_each_version_of_tls(self):
        with self.echo(LISTEN) as server:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = self.made.client_context()
                context.minimum_version = context.maximum_version = version
                with self.subTest(version), self.connect(server, context) as connection:
                    connection.sendall(b'hello')
                    self.assertEqual(receive(connection, 5), b'hello')
                    connection.unwrap().close()
            self.ends_well(server)

    def test_a_client_comes_back_with_its_session(self):
        with self.echo(LISTEN) as server:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = self.made.client_context()
                context.minimum_version = context.maximum_version = version
                session = None
                for comes_back in (False, True):
                    with self.subTest(version, comes_back=comes_back), \
                            context.wrap_socket(server.connect(), server_hostname='127.0.0.1', session=session) as connection:
                        connection.sendall(b'hello')
                        self.assertEqual(receive(connection, 5), b'hello')  # the tickets of TLS 1.3 come before that
                        self.assertEqual(connection.session_reused, comes_back)
                        session = connection.session
                        connection.unwrap().close()
            self.ends_well(server)

    def test_many_connections_at_once(self):
        with self.echo(LISTEN) as server:
            connections = [self.connect(server) for _ in range(50)]
            for number, connection in enumerate(connections):
                connection.sendall(b'%d' % number)
            for number, connection in enumerate(connections):
                text = b'%d' % number
                self.assertEqual(receive(connection, len(text)), text)
                connection.unwrap().close()
            self.ends_well(server)

    def test_tcp_and_tls_beside_each_other(self):
        with self.echo('tcp://127.0.0.1:0', LISTEN, listens=2) as server:
            self.assertEqual([line.partition(':')[0] for line in server.lines], ['tcp', 'tls'])
            with server.connect(0) as plain, self.connect(server, which=1) as encrypted:
                for connection in (plain, encrypted):
                    connection.sendall(b'hello')
                    self.assertEqual(receive(connection, 5), b'hello')

    def test_once(self):
        with self.echo(LISTEN, '--once') as server:
            with self.connect(server) as connection:
                connection.sendall(b'hello')
                self.assertEqual(receive(connection, 5), b'hello')
                connection.unwrap().close()
            self.assertEqual(server.end(), (0, '', ''))

    def test_discard(self):
        with Server('discard', LISTEN, *self.made.listening()) as server:
            with self.connect(server) as connection:
                connection.sendall(noise(1 << 20))
                connection.unwrap().close()
            self.ends_well(server)

    def test_alpn_takes_the_servers_first(self):
        with self.echo(LISTEN, '--alpn', 'second,first') as server:
            for offered, chosen in ((['first', 'second'], 'second'), (['first'], 'first'), (['third'], None), (None, None)):
                context = self.made.client_context()
                if offered:
                    context.set_alpn_protocols(offered)
                with self.subTest(offered), self.connect(server, context) as connection:
                    self.assertEqual(connection.selected_alpn_protocol(), chosen)

    def test_a_client_that_does_not_trust_us_is_told_of_once(self):
        with self.echo(LISTEN) as server:
            with self.assertRaises(ssl.SSLCertVerificationError), server.connect() as connection:
                ssl.create_default_context(cafile=self.made.stranger).wrap_socket(connection, server_hostname='127.0.0.1')
            with self.connect(server) as connection:  # the next one is served
                connection.unwrap().close()
            server.interrupt()
            status, _, err = server.end()
            self.assertEqual(status, 130)
            self.assertEqual(err.count('SSL handshake failed'), 1, err)
            self.assertIn('unknown ca', err)

    def test_a_client_that_says_nothing_holds_nobody_up(self):
        with self.echo(LISTEN) as server, server.connect() as silent:
            with self.connect(server) as connection:
                connection.sendall(b'hello')
                self.assertEqual(receive(connection, 5), b'hello')
            self.ends_well(server)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(silent.recv(1), b'')

    def test_client_certificates(self):
        with self.echo(LISTEN, '--client-ca', self.made.ca) as server:
            context = self.made.client_context()
            context.load_cert_chain(*self.made.files('client'))
            with self.connect(server, context) as connection:
                connection.sendall(b'hello')
                self.assertEqual(receive(connection, 5), b'hello')
                connection.unwrap().close()
            for name, alert in ((None, 'certificate required'), ('alone', 'unknown ca'), ('expired', 'certificate expired')):
                context = self.made.client_context()
                if name:
                    context.load_cert_chain(*self.made.files(name))
                # With TLS 1.3 the server's refusal comes after the client's handshake.
                with self.subTest(name), self.assertRaises(ssl.SSLError) as caught, self.connect(server, context) as connection:
                    connection.recv(1)
                self.assertIn(alert, str(caught.exception).replace('_', ' ').lower())


class SClient(TlsTestCase):
    """The same by OpenSSL's own client."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.stack.enter_context(Server('echo', LISTEN, *cls.made.listening()))
        cls.strict = cls.stack.enter_context(Server('echo', LISTEN, '--client-ca', cls.made.ca, *cls.made.listening()))

    def talk(self, server, *arguments, ca=None, line='a line\n'):
        """The line there and back: (exit status, what came back, stderr)."""
        command = ['openssl', 's_client', '-connect', server.target.removeprefix('tls://'), '-CAfile', ca or self.made.ca,
                   '-verify_return_error', '-verify_hostname', 'localhost', '-quiet', '-no_ign_eof', *arguments]
        with subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            killer = threading.Timer(LIMIT, process.kill)
            killer.start()
            try:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(line)
                    process.stdin.flush()
                line = process.stdout.readline()
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
                return process.wait(), line, process.stderr.read()
            finally:
                killer.cancel()

    def test_a_line_there_and_back(self):
        for version in ('-tls1_2', '-tls1_3'):
            with self.subTest(version):
                status, line, err = self.talk(self.server, version)
                self.assertEqual((status, line), (0, 'a line\n'), err)

    def test_older_versions_are_not_spoken(self):
        status, line, err = self.talk(self.server, '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0')
        self.assertNotEqual(status, 0)
        self.assertEqual(line, '')
        self.assertIn('protocol version', err)

    def test_an_authority_of_others(self):
        status, line, err = self.talk(self.server, ca=self.made.stranger)
        self.assertNotEqual(status, 0)
        self.assertEqual(line, '')
        self.assertIn('unable to get local issuer certificate', err)

    def test_with_and_without_a_certificate(self):
        certificate, key = self.made.files('client')
        status, line, err = self.talk(self.strict, '-cert', certificate, '-key', key)
        self.assertEqual((status, line), (0, 'a line\n'), err)
        # Sent to a server that has closed already, the line could be answered by a reset, which overtakes the alert.
        status, line, err = self.talk(self.strict, line='')
        self.assertNotEqual(status, 0)
        self.assertEqual(line, '')
        self.assertIn('certificate required', err)


if __name__ == '__main__':
    main()
