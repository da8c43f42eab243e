"""A program that was built without TLS says so, wherever somebody asks for it."""

import unittest

from program import main, run

WHY = 'this weir was built without TLS: configure it with -Dtls=true'
LISTEN = 'tcp://127.0.0.1:0'


class TlsAbsent(unittest.TestCase):
    def test_addresses(self):
        for line in ('echo tls://127.0.0.1:0', f'echo tls://127.0.0.1:0 --cert {__file__} --key {__file__}', 'discard tls://127.0.0.1:0',
                     'serve / --listen tls://127.0.0.1:0', 'relay tls://127.0.0.1:0 tcp://127.0.0.1:9',
                     f'relay {LISTEN} tls://127.0.0.1:9', 'connect tls://127.0.0.1:9', 'connect tls://127.0.0.1:9 --insecure',
                     'ping tls://127.0.0.1:9'):
            with self.subTest(line):
                status, out, err = run(*line.split())
                self.assertEqual((status, out), (2, ''))
                self.assertRegex(err, rf'^weir \w+: [^\n]*{WHY}; see weir \w+ --help\n$')

    def test_certificates(self):
        self.assertEqual(run('cert', '--out', '/tmp', 'name'), (1, '', f'weir cert: {WHY}\n'))


if __name__ == '__main__':
    main()
