"""The command line: help, and one clear line with exit status 2 for what is wrong."""

import os
import re
import unittest

from program import BACKEND, main, run

LISTEN = 'tcp://127.0.0.1:0'
TARGET = 'tcp://127.0.0.1:9'
TLS = 'tls://127.0.0.1:0'
TLS_TARGET = 'tls://127.0.0.1:9'
FILE = __file__

# Arguments, and what the line on stderr must contain: the option or address, and the value.
BAD = [
    ('', ['weir: ', 'subcommand is required']),
    ('frobnicate', ["'frobnicate'", 'echo, discard, relay, serve, connect, ping, resolve, exec, cert and info']),
    ('--frob', ["'--frob'"]),
    ('echo', ['weir echo: ', 'LISTEN is required']),
    ('discard', ['weir discard: ', 'LISTEN is required']),
    ('relay', ['weir relay: ', 'LISTEN is required']),
    (f'relay {LISTEN}', ['weir relay: ', 'TARGET is required']),
    (f'relay {LISTEN} {TARGET} {TARGET}', ['weir relay: ', f'not expected: {TARGET}']),
    ('ping', ['weir ping: ', 'TARGET is required']),
    (f'ping {TARGET} {TARGET}', ['weir ping: ', f'not expected: {TARGET}']),
    ('info extra', ['weir info: ', 'not expected: extra']),
    ('echo 127.0.0.1:80', ["LISTEN: '127.0.0.1:80'", 'tcp://']),
    (f'echo {LISTEN} tcp://127.0.0.1', ["LISTEN: 'tcp://127.0.0.1'", 'port is missing']),
    ('echo tcp://local..host:80', ["LISTEN: 'tcp://local..host:80'", "'local..host'"]),
    ('echo tcp://127.0.0.1:99999', ["LISTEN: 'tcp://127.0.0.1:99999'", "'99999'"]),
    ('echo tcp://::1:80', ["LISTEN: 'tcp://::1:80'", 'tcp://[::1]:PORT']),
    ('relay udp://127.0.0.1:80 tcp://127.0.0.1:81', ['weir relay: ', 'TARGET', 'udp:// only']),
    ('serve / --listen udp://127.0.0.1:80', ["--listen: 'udp://127.0.0.1:80'", 'udp has not']),
    ('discard sctp://127.0.0.1:80', ["LISTEN: 'sctp://127.0.0.1:80'", "'sctp'"]),
    (f'relay nowhere {TARGET}', ["LISTEN: 'nowhere'"]),
    (f'relay {LISTEN} tcp://127.0.0.1:0', ["TARGET: 'tcp://127.0.0.1:0'", 'port 0']),
    ('ping tcp://[::1]', ["TARGET: 'tcp://[::1]'", 'port is missing']),
    (f'echo {LISTEN} --api fast', ['--api', 'fast', 'protocol', 'buffered', 'sock', 'streams']),
    (f'echo {LISTEN} --api', ['--api']),
    (f'echo {LISTEN} --busy-poll 50', ["--busy-poll: '50'", '50us']),
    (f'echo {LISTEN} --busy-poll -1us', ['--busy-poll', '-1us']),
    (f'discard {LISTEN} --once', ['--once']),
    (f'echo {LISTEN} --max-read 100', ['--max-read', '100']),
    (f'relay {LISTEN} {TARGET} --max-read much', ['--max-read', 'much']),
    (f'ping {TARGET} --count 0', ['--count', ' 0 ']),
    (f'ping {TARGET} --count many', ['--count', 'many']),
    (f'ping {TARGET} --count 1.5', ['--count', '1.5']),
    (f'ping {TARGET} --count 99999999999999999999', ['--count', '99999999999999999999']),
    (f'ping {TARGET} --size -3', ['--size', '-3']),
    (f'ping {TARGET} --connections 0', ['--connections', ' 0 ']),
    (f'ping {TARGET} --timeout soon', ["--timeout: 'soon'"]),
    (f'ping {TARGET} --timeout 0s', ["--timeout: '0s'"]),
    (f'ping {TARGET} --frob', ['--frob']),
    ('serve', ['weir serve: ', 'DIR is required']),
    ('serve /', ['weir serve: ', '--listen is required']),
    (f'serve /no/such --listen {LISTEN}', ['DIR', '/no/such']),
    (f'serve / --listen {LISTEN} --idle-timeout 0s', ["--idle-timeout: '0s'"]),
    ('serve / --listen nowhere', ["--listen: 'nowhere'"]),
    ('connect', ['weir connect: ', 'TARGET is required']),
    ('connect udp://127.0.0.1:80 --linger 0s', ["--linger: '0s'"]),
    ('resolve', ['weir resolve: ', 'NAME is required']),
    ('resolve a --server localhost', ["--server: 'localhost'", '192.0.2.1']),
    ('resolve a --server 127.0.0.1:0', ["--server: '127.0.0.1:0'"]),
    ('resolve a --server [::1]53', ["--server: '[::1]53'"]),
    ('resolve a --timeout 0s', ["--timeout: '0s'"]),
    (f'echo {LISTEN} --cert {FILE} --key {FILE}', ['weir echo: --cert', 'tls:// address to listen on']),
    (f'discard {LISTEN} --key {FILE}', ['weir discard: --key', 'tls:// address to listen on']),
    (f'serve / --listen {LISTEN} --client-ca {FILE}', ['--client-ca', 'tls:// address to listen on']),
    (f'echo {LISTEN} --alpn h2', ['--alpn', 'tls:// address']),
    (f'connect {TARGET} --cafile {FILE}', ['weir connect: --cafile', 'tls:// address to connect to']),
    (f'connect {TARGET} --insecure', ['--insecure', 'tls:// address to connect to']),
    (f'connect {TARGET} --verbose', ['--verbose', 'tls:// address to connect to']),
    (f'connect {TARGET} --alpn h2', ['--alpn', 'tls:// address']),
    (f'ping {TARGET} --client-cert {FILE} --client-key {FILE}', ['--client-cert', 'tls:// address to connect to']),
    (f'relay {LISTEN} {TARGET} --cafile {FILE}', ['weir relay: --cafile', 'tls:// address to connect to']),
    (f'connect {TARGET} --client-key {FILE}', ['--client-key', '--client-cert']),
    ('cert', ['weir cert: ', 'NAME is required']),
    ('cert name', ['weir cert: ', '--out is required']),
    ('cert --out /tmp ../name', ["NAME: '../name'", 'neither a host name nor an IP address']),
    ('cert --out /tmp ca', ["NAME: 'ca'", 'the authority']),
    ('cert --out /tmp name --days 0', ['--days', '0']),
]

# With TLS alone: without it, that comes first.
BAD_TLS = [
    (f'echo {TLS}', ['LISTEN', '--cert FILE and --key FILE', 'weir cert']),
    (f'discard {TLS} --cert {FILE}', ['LISTEN', '--cert FILE and --key FILE']),
    (f'serve / --listen {TLS} --key {FILE}', ['LISTEN', '--cert FILE and --key FILE']),
    (f'relay {TLS} {TARGET}', ['LISTEN', '--cert FILE and --key FILE']),
    (f'relay {LISTEN} {TLS_TARGET} --cert {FILE}', ['--cert', 'tls:// address to listen on']),
    (f'relay {TLS} {TARGET} --cert {FILE} --key {FILE} --insecure', ['--insecure', 'tls:// address to connect to']),
    (f'relay udp://127.0.0.1:0 {TLS_TARGET}', ['udp:// is relayed to udp:// only']),
    (f'echo {TLS} --cert /no/such --key {FILE}', ['--cert', '/no/such']),
    (f'echo {TLS} --cert {FILE} --key {FILE} --api sock', ['--api', 'TLS']),
    (f'connect {TLS_TARGET} --insecure --cafile {FILE}', ['--insecure', '--cafile']),
    (f'connect {TLS_TARGET} --client-cert {FILE}', ['--client-cert', '--client-key']),
    (f'connect {TLS_TARGET} --alpn h2,', ["--alpn: 'h2,'", '1 to 255 bytes']),
    ('connect tls://127.0.0.1', ["TARGET: 'tls://127.0.0.1'", 'tls://HOST:PORT']),
]
if os.environ['WEIR_TLS'] == 'yes':
    BAD += BAD_TLS


class CommandLine(unittest.TestCase):
    def test_what_is_wrong_is_one_line_and_status_2(self):
        for line, parts in BAD:
            with self.subTest(line):
                status, out, err = run(*line.split())
                self.assertEqual((status, out), (2, ''))
                self.assertEqual(err.count('\n'), 1, err)
                for part in parts:
                    self.assertIn(part, err)
                self.assertRegex(err, r'; see weir( \w+)? --help\n$')

    def test_each_verb_has_help(self):
        for verb in ('echo', 'discard', 'relay', 'serve', 'connect', 'ping', 'resolve', 'cert', 'info'):
            with self.subTest(verb):
                status, out, err = run(verb, '--help')
                self.assertEqual((status, err), (0, ''))
                self.assertIn(f'weir {verb}', out)
                self.assertLessEqual(max(map(len, out.splitlines())), 120)

    def test_help_lists_the_verbs(self):
        status, out, err = run('--help')
        self.assertEqual((status, err), (0, ''))
        for verb in ('echo', 'discard', 'relay', 'serve', 'connect', 'ping', 'resolve', 'cert', 'info'):
            self.assertRegex(out, rf'(?m)^  {verb} ')

    def test_version(self):
        status, out, _ = run('--version')
        self.assertEqual(status, 0)
        self.assertRegex(out, r'^weir \d+\.\d+\.\d+\n$')

    def test_an_address_that_cannot_be_had_is_status_1(self):
        for verb in (['echo'], ['echo', '--api', 'sock'], ['discard']):
            with self.subTest(verb):
                # An address for documentation: no machine has it.
                status, out, err = run(*verb, 'tcp://192.0.2.1:8888')
                self.assertEqual((status, out), (1, ''))
                self.assertRegex(err, r'^weir \w+: [^\n]*192\.0\.2\.1:8888[^\n]*\n$')

    def test_one_address_of_two_that_cannot_be_had_is_status_1(self):
        status, _, err = run('echo', 'tcp://127.0.0.1:0', 'tcp://192.0.2.1:8888')
        self.assertEqual(status, 1)
        self.assertEqual(err.count('\n'), 1, err)


class Info(unittest.TestCase):
    def test_info_tells_version_backend_capabilities_and_limits(self):
        status, out, err = run('info')
        self.assertEqual((status, err), (0, ''))
        self.assertRegex(out, rf'^weir \d+\.\d+\.\d+\nbackend: {BACKEND}\n')
        capabilities = dict(re.findall(r'(?m)^  (\w+) +(yes|no) ', out))
        self.assertEqual(capabilities['real_network'], 'yes')
        self.assertIn('ipv6', capabilities)
        self.assertRegex(out, r'(?m)^  open descriptors +\d+')


if __name__ == '__main__':
    main()
