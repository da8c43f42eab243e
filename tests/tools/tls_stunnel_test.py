"""stunnel as the server of `weir connect tls://` and ping, and as the client of `weir echo tls://`."""

import contextlib
import subprocess
import tempfile
import threading
import unittest

from certificates import TlsTestCase
from peers import STUNNEL, by_tls, connect, stunnel
from program import LIMIT, WEIR, Server, default_interrupt, exchange, main, noise, read_all, run
from program import connect as weir_connect

DATA = noise(5 << 20)
VERSIONS = ('TLSv1.2', 'TLSv1.3')


@unittest.skipUnless(STUNNEL, 'stunnel')
class StunnelAsServer(TlsTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.stack.enter_context(tempfile.TemporaryDirectory(prefix='weir-stunnel-'))
        cls.path = f'{folder}/echo'
        cls.stack.enter_context(Server('echo', f'unix://{cls.path}'))

    def stunnel(self, *settings, name='server'):
        """In front of `weir echo`."""
        certificate, key = self.made.files(name)
        return stunnel('\n'.join([f'connect = {self.path}', f'cert = {certificate}', f'key = {key}', *settings]))

    def strict(self):
        return self.stunnel('verifyChain = yes', f'CAfile = {self.made.ca}')

    def talk(self, peer, *arguments):
        """There and back, and the end when all of it is back: (exit status, stderr)."""
        with subprocess.Popen([WEIR, 'connect', by_tls(peer), '--cafile', str(self.made.ca), '--linger', '1ms', *map(str, arguments)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=default_interrupt) as process:
            def send():
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(DATA)
                    process.stdin.flush()
            sender = threading.Thread(target=send)
            killer = threading.Timer(LIMIT, process.kill)
            sender.start()
            killer.start()
            self.assertTrue(process.stdout.read(len(DATA)) == DATA)
            sender.join()
            process.stdin.close()
            self.assertEqual(process.stdout.read(), b'')
            killer.cancel()
            return process.wait(LIMIT), process.stderr.read()

    def ping(self, peer, *arguments, ca=None):
        return run('ping', by_tls(peer), '--cafile', ca or self.made.ca, '--count', 200, '--connections', 10, *arguments)

    def test_there_and_back(self):
        for version in VERSIONS:
            with self.subTest(version), self.stunnel(f'sslVersion = {version}') as peer:
                self.assertEqual(self.talk(peer), (0, b''))
                for size in (1, 16385):
                    status, out, err = self.ping(peer, '--size', size)
                    self.assertEqual((status, err), (0, ''))
                    self.assertIn(f'200 round trips of {size} bytes', out)

    def test_a_server_that_is_not_trusted(self):
        for name, ca, why in (('server', self.made.stranger, 'its issuer is not trusted'),
                              ('other', self.made.ca, 'the certificate is of another host'),
                              ('alone', self.made.ca, 'the certificate is self-signed')):
            with self.subTest(name), self.stunnel(name=name) as peer:
                status, out, err = weir_connect(by_tls(peer), '--cafile', ca, data=b'secret')
                self.assertEqual((status, out), (1, b''))
                self.assertRegex(err, rf'^weir connect: [^\n]*{why}\n$')
                status, out, err = self.ping(peer, ca=ca)
                self.assertEqual((status, out), (1, ''))
                self.assertRegex(err, rf'^weir ping: [^\n]*{why}\n$')

    def test_client_certificates(self):
        with self.strict() as peer:
            self.assertEqual(self.talk(peer, *self.made.showing()), (0, b''))
            status, _, err = self.ping(peer, *self.made.showing())
            self.assertEqual((status, err), (0, ''))

    def test_a_client_without_the_certificate_that_is_needed(self):
        with self.strict() as peer:
            for shown, alert in (((), 'certificate required'), (self.made.showing('alone'), 'unknown ca')):
                # It says nothing: what it sent to a server that has closed already could be answered by a reset, which overtakes the alert.
                status, out, err = weir_connect(by_tls(peer), '--cafile', self.made.ca, '--linger', '10s', *shown)
                self.assertEqual((status, out), (1, b''))
                self.assertRegex(err, rf'^weir connect: [^\n]*alert {alert}[^\n]*\n$')


@unittest.skipUnless(STUNNEL, 'stunnel')
class StunnelAsClient(TlsTestCase):
    def stunnel(self, server, *settings, ca=None, name='localhost'):
        host, port = server.address()
        return stunnel('\n'.join(['client = yes', f'connect = {host}:{port}', 'verifyChain = yes', f'CAfile = {ca or self.made.ca}',
                                  f'checkHost = {name}', *settings]))

    def echo(self, *arguments):
        return Server('echo', 'tls://127.0.0.1:0', *self.made.listening(), *arguments)

    def showing(self, name):
        certificate, key = self.made.files(name)
        return f'cert = {certificate}', f'key = {key}'

    def assert_refused(self, peer):
        with connect(peer) as connection, contextlib.suppress(ConnectionResetError):
            self.assertEqual(read_all(connection), b'')

    def assert_said(self, server, why):
        server.interrupt()
        status, _, err = server.end()
        self.assertEqual(status, 130)
        self.assertIn(why, err)

    def test_there_and_back(self):
        for version in VERSIONS:
            with self.subTest(version), self.echo() as server, self.stunnel(server, f'sslVersion = {version}') as peer:
                for _ in range(2):
                    with connect(peer) as connection:
                        self.assertTrue(exchange(connection, DATA) == DATA)
                self.ends_well(server)

    def test_a_server_that_is_not_trusted(self):
        for options, why, alert in (({'ca': self.made.stranger}, 'unable to get local issuer certificate', 'unknown ca'),
                                    ({'name': 'other.example'}, 'Subject checks failed', 'internal error')):
            with self.subTest(why), self.echo() as server, self.stunnel(server, **options) as peer:
                self.assert_refused(peer)
                self.assertIn(why, peer.said.read_text())
                self.assert_said(server, f'alert {alert}')

    def test_client_certificates(self):
        with self.echo('--client-ca', self.made.ca) as server, self.stunnel(server, *self.showing('client')) as peer, \
                connect(peer) as connection:
            self.assertTrue(exchange(connection, DATA) == DATA)
            self.ends_well(server)

    def test_a_client_without_the_certificate_that_is_needed(self):
        for settings, why in (((), 'the peer did not show a certificate'), (self.showing('alone'), 'the certificate is self-signed')):
            with self.subTest(why), self.echo('--client-ca', self.made.ca) as server, self.stunnel(server, *settings) as peer:
                self.assert_refused(peer)
                self.assert_said(server, why)


if __name__ == '__main__':
    main()
