"""`weir resolve` against a dnsmasq of the test's own, which knows a few names, and against a server that is silent."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import unittest

from program import LIMIT, WEIR, default_interrupt, main, run

RECORDS = ['--host-record=one.test,192.0.2.1,2001:db8::1', '--host-record=two.test,192.0.2.2', '--cname=alias.test,two.test']


@contextlib.contextmanager
def dnsmasq():
    """Gives its address as --server takes it, once it answers."""
    # It cannot be asked to choose a port. Those that the system hands out to connections are avoided; what else is in the way
    # shows when it ends at once.
    for attempt in range(20):
        port = 10000 + (os.getpid() * 31 + attempt) % 20000
        process = start_dnsmasq(port)
        try:
            server = f'127.0.0.1:{port}'
            while run('resolve', 'two.test', '--server', server)[0] != 0 and process.poll() is None:
                pass
            if process.poll() is None:
                yield server
                return
        finally:
            process.kill()
            process.wait()
    raise AssertionError('dnsmasq ends')


def start_dnsmasq(port):
    program = shutil.which('dnsmasq') or '/usr/sbin/dnsmasq'
    return subprocess.Popen([program, '--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--local=/test/',
                             '--local=/2.0.192.in-addr.arpa/', '--bind-interfaces', '--listen-address=127.0.0.1', '--user=',
                             '--pid-file=', '--log-facility=/dev/null', f'--port={port}', *RECORDS])


class Resolve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.server = cls.stack.enter_context(dnsmasq())

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def ask(self, *arguments):
        return run('resolve', *arguments, '--server', self.server)

    def test_names(self):
        status, out, err = self.ask('one.test', 'alias.test')
        self.assertEqual((status, err), (0, ''))
        self.assertEqual(sorted(out.splitlines()), ['alias.test 192.0.2.2', 'one.test 192.0.2.1', 'one.test 2001:db8::1'])

    def test_a_name_without_address(self):
        status, out, err = self.ask('missing.test', 'two.test')
        self.assertEqual((status, out), (1, 'two.test 192.0.2.2\n'))
        self.assertRegex(err, r"^weir resolve: [^\n]*'missing\.test'[^\n]*not known\n$")

    def test_reverse(self):
        self.assertEqual(self.ask('192.0.2.2', '--reverse'), (0, '192.0.2.2 two.test\n', ''))
        status, out, err = self.ask('192.0.2.9', '--reverse')
        self.assertEqual((status, out), (1, ''))
        self.assertIn('192.0.2.9', err)
        status, _, err = self.ask('two.test', '--reverse')
        self.assertEqual(status, 1)
        self.assertIn('not a numeric address', err)

    def test_json(self):
        status, out, err = self.ask('alias.test', 'missing.test', 'quo"te', '--json')
        self.assertEqual((status, err), (1, ''))
        alias, missing, odd = json.loads(out)
        self.assertEqual(alias, {'name': 'alias.test', 'canonical': 'two.test', 'addresses': ['192.0.2.2']})
        self.assertEqual((missing['name'], odd['name']), ('missing.test', 'quo"te'))
        self.assertIn('not known', missing['error'])
        status, out, _ = self.ask('192.0.2.2', '--reverse', '--json')
        self.assertEqual((status, json.loads(out)), (0, [{'name': '192.0.2.2', 'names': ['two.test']}]))

    def test_a_silent_server_is_given_up(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(('127.0.0.1', 0))
            status, out, err = run('resolve', 'one.test', '--timeout', '50ms', '--server', '127.0.0.1:%d' % silent.getsockname()[1])
            self.assertEqual((status, out), (1, ''))
            self.assertIn('temporary failure', err)

    def test_numeric_hosts_need_no_server(self):
        self.assertEqual(run('resolve', '127.0.0.1', '::1'), (0, '127.0.0.1 127.0.0.1\n::1 ::1\n', ''))

    def test_interrupted(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(('127.0.0.1', 0))
            silent.settimeout(LIMIT)
            process = subprocess.Popen([WEIR, 'resolve', 'one.test', '--server', '127.0.0.1:%d' % silent.getsockname()[1]],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=default_interrupt)
            silent.recv(1000)  # the question is asked
            process.send_signal(2)
            process.communicate(timeout=LIMIT)
            self.assertEqual(process.returncode, 130)


if __name__ == '__main__':
    main()
