"""Certificates for the tests of TLS, by `weir cert` and, where they have to be wrong, by openssl; what these tests share; and TLS by Python's
ssl."""

import contextlib
import pathlib
import ssl
import subprocess
import tempfile
import unittest

from program import LIMIT, listener, run


def openssl(*arguments):
    subprocess.run(['openssl', *map(str, arguments)], stdin=subprocess.DEVNULL, check=True, capture_output=True, timeout=LIMIT)


class Certificates:
    """A folder: `server` is good for 127.0.0.1 and localhost, `client` for nobody here, `other` for another host; `expired` was good
    for 127.0.0.1; nobody but itself vouches for `alone`; the authority `stranger` vouches for nothing that is used."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.make(self.folder, 'localhost,127.0.0.1', 'client', 'other.example')
        self.make(self.folder / 'stranger', 'stranger.example')
        self.ca, self.stranger = self.folder / 'ca.pem', self.folder / 'stranger' / 'ca.pem'
        names = self.folder / 'names'
        names.write_text('subjectAltName=IP:127.0.0.1\n')
        new_key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=127.0.0.1')
        openssl('req', *new_key, '-keyout', self.folder / 'expired-key.pem', '-out', self.folder / 'expired.csr')
        openssl('x509', '-req', '-in', self.folder / 'expired.csr', '-CA', self.ca, '-CAkey', self.folder / 'ca-key.pem',
                '-extfile', names, '-days', -1, '-out', self.folder / 'expired.pem')
        openssl('req', '-x509', *new_key, '-keyout', self.folder / 'alone-key.pem', '-out', self.folder / 'alone.pem',
                '-addext', 'subjectAltName=IP:127.0.0.1')

    @staticmethod
    def make(folder, *names):
        status, _, err = run('cert', '--out', folder, *names)
        assert (status, err) == (0, ''), err

    def files(self, name):
        """A certificate and its key."""
        name = {'server': 'localhost', 'other': 'other.example'}.get(name, name)
        return self.folder / f'{name}.pem', self.folder / f'{name}-key.pem'

    def listening(self, name='server'):
        """The arguments of a verb that listens."""
        certificate, key = self.files(name)
        return '--cert', certificate, '--key', key

    def showing(self, name='client'):
        """The arguments of a verb that connects and shows a certificate."""
        certificate, key = self.files(name)
        return '--client-cert', certificate, '--client-key', key

    def client_context(self):
        return ssl.create_default_context(cafile=self.ca)

    def server_context(self, name='server'):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(name))
        return context


class TlsTestCase(unittest.TestCase):
    """All tests of the class share one folder of certificates, `made`, and what else is entered into `stack`."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.made = Certificates(cls.stack.enter_context(tempfile.TemporaryDirectory(prefix='weir-tls-')))

    def ends_well(self, server):
        """Ctrl-C ends it, and until then it had nothing to say."""
        server.interrupt()
        self.assertEqual(server.end(), (130, '', ''))


@contextlib.contextmanager
def tls_listener(context, serve):
    """A server of Python's: `serve(connection)` for each connection whose handshake succeeds. Gives its tls:// address."""
    def handle(connection):
        with context.wrap_socket(connection, server_side=True) as encrypted:
            serve(encrypted)

    with listener(handle) as target:
        yield target.replace('tcp:', 'tls:')


def echo_and_end(connection):
    """Until the other side says that it ends, which is answered."""
    while data := connection.recv(1 << 16):
        connection.sendall(data)
    with contextlib.suppress(OSError):
        connection.unwrap()
