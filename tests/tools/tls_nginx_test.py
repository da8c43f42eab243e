"""nginx as the server of `weir connect tls://` and ping, and as the client of `weir serve tls://`."""

import unittest

from certificates import TlsTestCase
from peers import NGINX, by_tls, curl, folder_for_all, nginx
from program import Server, connect, main, noise, run

LARGE = noise(5 << 20)
PATIENT = ('--linger', '10s')  # nginx ends the connection, and weir with it
TELL = 'return 200 "$ssl_protocol $ssl_alpn_protocol $ssl_client_verify $ssl_client_s_dn";'


def get(path):
    return f'GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'.encode()


def parts(answer):
    """Its first line and its body."""
    head, _, body = answer.partition(b'\r\n\r\n')
    return head.partition(b'\r\n')[0].decode(), body


class WithAFile(TlsTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = cls.stack.enter_context(folder_for_all('weir-nginx-'))
        (cls.folder / 'large').write_bytes(LARGE)


@unittest.skipUnless(NGINX, 'nginx')
class NginxAsServer(WithAFile):
    def nginx(self, *settings, name='server', versions='TLSv1.2 TLSv1.3'):
        certificate, key = self.made.files(name)
        return nginx('\n'.join([f'ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols {versions};',
                                f'root {self.folder};', *settings]))

    def connect(self, peer, *arguments, ca=None, path=''):
        return connect(by_tls(peer), '--cafile', ca or self.made.ca, *PATIENT, *arguments, data=get(path))

    def test_an_answer_to_its_last_byte(self):
        for version in ('TLSv1.2', 'TLSv1.3'):
            with self.subTest(version), self.nginx(f'location = /tell {{ {TELL} }}', versions=version) as peer:
                status, out, err = self.connect(peer, path='large')
                self.assertEqual((status, err), (0, ''))
                line, body = parts(out)
                self.assertEqual((line, body == LARGE), ('HTTP/1.1 200 OK', True))
                status, out, err = self.connect(peer, path='tell')
                self.assertEqual((status, parts(out)[1], err), (0, version.encode() + b'  NONE ', ''))

    def test_the_protocol_above_tls(self):
        with self.nginx(TELL) as peer:
            status, out, err = self.connect(peer, '--alpn', 'other,http/1.1', '--verbose')
            self.assertEqual((status, parts(out)), (0, ('HTTP/1.1 200 OK', b'TLSv1.3 http/1.1 NONE ')))
            self.assertIn('protocol: http/1.1, certificate: localhost, issued by', err)
            status, out, err = self.connect(peer, '--alpn', 'other')
            self.assertEqual((status, out), (1, b''))
            self.assertRegex(err, r'^weir connect: [^\n]*no application protocol[^\n]*\n$')

    def test_a_server_that_is_not_trusted(self):
        for name, ca, why in (('server', self.made.stranger, 'its issuer is not trusted'),
                              ('other', self.made.ca, 'the certificate is of another host'),
                              ('expired', self.made.ca, 'the certificate has expired')):
            with self.subTest(name), self.nginx(TELL, name=name) as peer:
                status, out, err = self.connect(peer, ca=ca)
                self.assertEqual((status, out), (1, b''))
                self.assertRegex(err, rf'^weir connect: [^\n]*{why}\n$')
                status, out, err = run('ping', by_tls(peer), '--cafile', ca)
                self.assertEqual((status, out), (1, ''))
                self.assertRegex(err, rf'^weir ping: [^\n]*{why}\n$')

    def test_client_certificates(self):
        """nginx shakes hands with everybody, and then says by HTTP what it misses."""
        with self.nginx(f'ssl_verify_client on; ssl_client_certificate {self.made.ca};', f'location / {{ {TELL} }}') as peer:
            status, out, err = self.connect(peer, *self.made.showing())
            self.assertEqual((status, parts(out), err), (0, ('HTTP/1.1 200 OK', b'TLSv1.3  SUCCESS CN=client'), ''))
            for shown, why in (((), b'No required SSL certificate was sent'), (self.made.showing('alone'), b'The SSL certificate error')):
                status, out, err = self.connect(peer, *shown)
                line, body = parts(out)
                self.assertEqual((status, line, err), (0, 'HTTP/1.1 400 Bad Request', ''))
                self.assertIn(why, body)


@unittest.skipUnless(NGINX, 'nginx')
class NginxAsClient(WithAFile):
    def serve(self, *arguments):
        return Server('serve', self.folder, '--listen', 'tls://127.0.0.1:0', *self.made.listening(), *arguments)

    def proxy(self, server, *settings, ca=None, name='localhost', **options):
        verify = f'proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca or self.made.ca}; proxy_ssl_name {name};'
        target = f'location / {{ proxy_pass {server.target.replace("tls:", "https:")}; }}'
        return nginx('\n'.join([verify, target, *settings]), tls=False, **options)

    def showing(self, name):
        certificate, key = self.made.files(name)
        return f'proxy_ssl_certificate {certificate}; proxy_ssl_certificate_key {key};'

    def get(self, peer):
        """The status of HTTP, and whether it is the whole file."""
        status, out, err = curl('-w', '%{stderr}%{http_code}', 'http://%s:%d/large' % peer.address)
        self.assertEqual(status, 0, err)
        return err, out == LARGE

    def test_a_file(self):
        for version in ('TLSv1.2', 'TLSv1.3'):
            with self.subTest(version), self.serve() as server, self.proxy(server, f'proxy_ssl_protocols {version};') as peer:
                self.assertEqual(self.get(peer), ('200', True))
                self.ends_well(server)

    def test_it_comes_back_with_its_session(self):
        for version in ('TLSv1.2', 'TLSv1.3'):
            with self.subTest(version), self.serve() as server, \
                    self.proxy(server, f'proxy_ssl_protocols {version};', level='debug') as peer:
                for reused in (0, 1):
                    self.assertEqual(self.get(peer), ('200', True))
                    self.assertEqual(peer.said.read_text().count('SSL reused session'), reused)

    def test_a_server_that_is_not_trusted(self):
        for options, why in (({'ca': self.made.stranger}, 'upstream SSL certificate verify error'),
                             ({'name': 'other.example'}, 'upstream SSL certificate does not match "other.example"')):
            with self.subTest(why), self.serve() as server, self.proxy(server, **options) as peer:
                self.assertEqual(self.get(peer), ('502', False))
                self.assertIn(why, peer.said.read_text())

    def test_client_certificates(self):
        with self.serve('--client-ca', self.made.ca) as server:
            with self.proxy(server, self.showing('client')) as peer:
                self.assertEqual(self.get(peer), ('200', True))
            for settings in ([], [self.showing('alone')]):
                with self.subTest(settings), self.proxy(server, *settings) as peer:
                    self.assertEqual(self.get(peer), ('502', False))
            server.interrupt()
            status, _, err = server.end()
            self.assertEqual(status, 130)
            self.assertIn('the peer did not show a certificate', err)
            self.assertIn('the certificate is self-signed', err)


if __name__ == '__main__':
    main()
