"""`weir serve tls://`, with curl as its client."""

import contextlib
import pathlib
import socket
import tempfile

from certificates import TlsTestCase
from peers import curl
from program import Server, main, noise

LARGE = noise(5 << 20)


class TlsServe(TlsTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(cls.stack.enter_context(tempfile.TemporaryDirectory(prefix='weir-serve-')))
        (cls.folder / 'page').write_text('page')
        (cls.folder / 'large').write_bytes(LARGE)

    @contextlib.contextmanager
    def server(self, *arguments):
        with Server('serve', self.folder, '--listen', 'tls://127.0.0.1:0', *self.made.listening(), *arguments) as server:
            server.url = server.target.replace('tls:', 'https:')
            yield server

    def test_files(self):
        with self.server() as server:
            self.assertEqual(curl('--cacert', self.made.ca, server.url + '/page'), (0, b'page', ''))
            self.assertEqual(curl('--cacert', self.made.ca, server.url + '/large'), (0, LARGE, ''))
            self.assertEqual(curl('--cacert', self.made.ca, '-r', '70000-99999', server.url + '/large'), (0, LARGE[70000:100000], ''))
            self.ends_well(server)

    def test_one_connection_for_several_files(self):
        with self.server() as server:
            arguments = []
            for _ in range(3):
                arguments += ['-o', '/dev/null', server.url + '/large']
            status, out, err = curl('--cacert', self.made.ca, '-w', '%{num_connects}\n', *arguments)
            self.assertEqual((status, out, err), (0, b'1\n0\n0\n', ''))
            self.ends_well(server)

    def test_each_version_of_tls(self):
        with self.server() as server:
            for version in ('1.2', '1.3'):
                with self.subTest(version):
                    self.assertEqual(curl('--cacert', self.made.ca, f'--tlsv{version}', '--tls-max', version, server.url + '/large'),
                                     (0, LARGE, ''))
            self.ends_well(server)

    def test_http_1_1_is_what_alpn_chooses(self):
        with self.server('--alpn', 'http/1.1') as server:
            status, out, err = curl('--cacert', self.made.ca, '-v', server.url + '/page')
            self.assertEqual((status, out), (0, b'page'))
            self.assertRegex(err, r'ALPN[^\n]*server accepted[^\n]*http/1\.1')

    def test_another_authority_is_refused(self):
        with self.server() as server:
            for arguments in (['--cacert', self.made.stranger], []):
                status, out, err = curl(*arguments, server.url + '/page')
                self.assertEqual((status, out), (60, b''), err)  # CURLE_PEER_FAILED_VERIFICATION
            self.assertEqual(curl('--cacert', self.made.ca, server.url + '/page')[0], 0)

    def test_a_client_without_tls_disturbs_nobody(self):
        with self.server() as server:
            self.assertNotEqual(curl(server.url.replace('https:', 'http:') + '/page')[0], 0)
            with server.connect() as connection:
                connection.sendall(b'\x16\x03')
                connection.shutdown(socket.SHUT_WR)
                self.assertEqual(connection.recv(1), b'')
            self.assertEqual(curl('--cacert', self.made.ca, server.url + '/page'), (0, b'page', ''))
            server.interrupt()
            status, _, err = server.end()
            self.assertEqual(status, 130)
            self.assertEqual(err.count('what came is not TLS'), 1, err)

    def test_a_client_without_a_certificate(self):
        certificate, key = self.made.files('client')
        with self.server('--client-ca', self.made.ca) as server:
            shown = ('--cert', certificate, '--key', key)
            self.assertEqual(curl('--cacert', self.made.ca, *shown, server.url + '/page'), (0, b'page', ''))
            status, out, _ = curl('--cacert', self.made.ca, server.url + '/page')
            self.assertNotEqual(status, 0)
            self.assertEqual(out, b'')


if __name__ == '__main__':
    main()
