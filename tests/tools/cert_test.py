"""`weir cert`: what it writes, who may read it, what it reuses and what it leaves alone; openssl judges the certificates."""

import os
import pathlib
import stat
import subprocess
import tempfile
import unittest

from program import LIMIT, main, run


def openssl(*arguments):
    done = subprocess.run(['openssl', *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    return done.returncode, done.stdout + done.stderr


class Cert(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix='weir-cert-')
        self.folder = pathlib.Path(self.temporary.name) / 'new' / 'folder'

    def tearDown(self):
        self.temporary.cleanup()

    def cert(self, *arguments, status=0, **options):
        done = run('cert', '--out', self.folder, *arguments, **options)
        self.assertEqual(done[0], status, done)
        return done[1:]

    def assert_signed(self, name, purpose='sslserver'):
        status, text = openssl('verify', '-x509_strict', '-purpose', purpose, '-CAfile', self.folder / 'ca.pem', self.folder / name)
        self.assertEqual(status, 0, text)

    def test_an_authority_and_certificates_that_it_vouches_for(self):
        out, err = self.cert('localhost,127.0.0.1,::1', 'www.example.org', '*.example.org', '::1', '--ca-name', 'A Name', '--days', 2)
        self.assertEqual(err, '')
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()),
                         sorted(name + end for name in ('ca', 'localhost', 'www.example.org', '_.example.org', '__1')
                                for end in ('.pem', '-key.pem')))
        for name in ('localhost', 'www.example.org', '_.example.org', '__1'):
            self.assertIn(f'wrote {self.folder}/{name}.pem and {self.folder}/{name}-key.pem\n', out)
            self.assert_signed(f'{name}.pem')
            self.assert_signed(f'{name}.pem', 'sslclient')
        self.assertIn(f'weir echo tls://localhost:8443 --cert {self.folder}/localhost.pem --key {self.folder}/localhost-key.pem\n', out)
        self.assertIn(f'weir connect tls://localhost:8443 --cafile {self.folder}/ca.pem\n', out)
        _, text = openssl('x509', '-in', self.folder / 'localhost.pem', '-noout', '-text')
        self.assertIn('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1\n', text)
        self.assertIn('Issuer: CN = A Name\n', text)
        self.assertEqual(openssl('x509', '-in', self.folder / 'localhost.pem', '-noout', '-checkend', 47 * 3600)[0], 0)
        self.assertEqual(openssl('x509', '-in', self.folder / 'localhost.pem', '-noout', '-checkend', 49 * 3600)[0], 1)

    def test_keys_are_for_their_owner_and_certificates_for_all(self):
        before = os.umask(0)
        try:
            self.cert('localhost')
        finally:
            os.umask(before)
        for name, mode in (('ca.pem', 0o644), ('ca-key.pem', 0o600), ('localhost.pem', 0o644), ('localhost-key.pem', 0o600)):
            self.assertEqual(stat.S_IMODE((self.folder / name).stat().st_mode), mode, name)

    def test_the_authority_is_taken_up_again(self):
        self.cert('first')
        before = (self.folder / 'ca.pem').read_bytes()
        out, _ = self.cert('second')
        self.assertNotIn('wrote ' + str(self.folder / 'ca.pem'), out)
        self.assertEqual((self.folder / 'ca.pem').read_bytes(), before)
        self.assert_signed('first.pem')
        self.assert_signed('second.pem')

    def test_what_is_there_is_replaced_by_force_only(self):
        self.cert('host')
        before = {path: path.read_bytes() for path in self.folder.iterdir()}
        _, err = self.cert('other', 'host', status=1)
        self.assertEqual(err, f'weir cert: {self.folder}/host.pem is there already; --force replaces it\n')
        self.assertEqual({path: path.read_bytes() for path in self.folder.iterdir()}, before)
        self.cert('host', '--force')
        for path, text in before.items():
            self.assertEqual(path.read_bytes() != text, path.name.startswith('host'), path)
        self.assert_signed('host.pem')

    def test_an_authority_without_its_key(self):
        self.cert('first')
        (self.folder / 'ca-key.pem').unlink()
        _, err = self.cert('second', status=1)
        self.assertEqual(err, f'weir cert: {self.folder}/ca-key.pem: No such file or directory\n')

    def test_an_authority_with_the_key_of_another(self):
        self.cert('first')
        (self.folder / 'ca-key.pem').write_bytes((self.folder / 'first-key.pem').read_bytes())
        _, err = self.cert('second', status=1)
        self.assertEqual(err, "weir cert: the issuer's key: key values mismatch\n")
        self.assertFalse((self.folder / 'second.pem').exists())

    def test_a_folder_that_cannot_be_had(self):
        status, out, err = run('cert', '--out', '/dev/null/certificates', 'host')
        self.assertEqual((status, out), (1, ''))
        self.assertRegex(err, r'^weir cert: [^\n]*/dev/null/certificates[^\n]*\n$')


if __name__ == '__main__':
    main()
