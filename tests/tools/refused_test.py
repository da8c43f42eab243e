"""The program on a backend without a real network: it tells about itself, and refuses what nobody could use."""

import unittest

from program import BACKEND, main, run


class Refused(unittest.TestCase):
    def test_info(self):
        status, out, err = run('info')
        self.assertEqual((status, err), (0, ''))
        self.assertIn(f'\nbackend: {BACKEND}\n', out)
        self.assertRegex(out, r'(?m)^  real_network +no ')

    def test_names_that_need_no_server(self):
        self.assertEqual(run('resolve', '127.0.0.1'), (0, '127.0.0.1 127.0.0.1\n', ''))
        status, out, err = run('resolve', 'www.example.org', '--server', '192.0.2.1')
        self.assertEqual((status, out), (1, ''))
        self.assertRegex(err, r"^weir resolve: [^\n]*'www.example.org'[^\n]*real_network[^\n]*\n$")

    def test_children(self):
        status, out, err = run('exec', '--', 'true')
        self.assertEqual((status, out), (1, ''))
        self.assertRegex(err, r'^weir exec: [^\n]*subprocesses[^\n]*\n$')

    def test_verbs_that_need_a_network(self):
        for line in ('echo tcp://127.0.0.1:0', 'discard tcp://127.0.0.1:0', 'ping tcp://127.0.0.1:9',
                     'relay tcp://127.0.0.1:0 tcp://127.0.0.1:9'):
            with self.subTest(line):
                status, out, err = run(*line.split())
                self.assertEqual((status, out), (1, ''))
                self.assertRegex(err, r'^weir \w+: [^\n]*real_network[^\n]*\n$')


if __name__ == '__main__':
    main()
