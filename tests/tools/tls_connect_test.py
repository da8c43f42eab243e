"""`weir connect tls://` and ping: whom they trust, what they say when they do not, and Python's ssl as their server."""

import contextlib
import os
import signal
import ssl
import subprocess
import tempfile
import threading

from certificates import TlsTestCase, echo_and_end, tls_listener
from program import LIMIT, WEIR, Server, connect, default_interrupt, listener, main, noise, run

DATA = noise(5 << 20)
LISTEN = 'tls://127.0.0.1:0'
PATIENT = ('--linger', '3s')  # more than any pause in an answer on a busy machine


class TlsConnect(TlsTestCase):
    def echo(self, name='server', *arguments):
        return Server('echo', LISTEN, *self.made.listening(name), *arguments)

    def test_a_pipe_there_and_back(self):
        with self.echo() as server:
            for data in (b'', b'x', DATA):
                linger = PATIENT if data else ('--linger', '1ms')
                self.assertEqual(connect(server.target, '--cafile', self.made.ca, *linger, data=data), (0, data, ''))
            self.ends_well(server)

    def test_a_file(self):
        with self.echo() as server, tempfile.TemporaryFile() as there, tempfile.TemporaryFile() as back:
            there.write(DATA)
            there.seek(0)
            done = subprocess.run([WEIR, 'connect', server.target, '--cafile', str(self.made.ca), *PATIENT], stdin=there, stdout=back,
                                  stderr=subprocess.PIPE, timeout=LIMIT, preexec_fn=default_interrupt)
            self.assertEqual((done.returncode, done.stderr), (0, b''))
            back.seek(0)
            self.assertTrue(back.read() == DATA)

    def test_a_name(self):
        with self.echo() as server:
            target = f'tls://localhost:{server.address()[1]}'
            self.assertEqual(connect(target, '--cafile', self.made.ca, data=b'by name'), (0, b'by name', ''))

    def test_what_is_refused_and_why(self):
        for name, ca, why in (('other', self.made.ca, 'the certificate is of another host'),
                              ('expired', self.made.ca, 'the certificate has expired'),
                              ('alone', self.made.ca, 'the certificate is self-signed'),
                              ('server', self.made.stranger, 'its issuer is not trusted')):
            with self.subTest(name), self.echo(name) as server:
                status, out, err = connect(server.target, '--cafile', ca, data=b'secret')
                self.assertEqual((status, out), (1, b''))
                self.assertRegex(err, rf'^weir connect: [^\n]*certificate verify failed: {why}\n$')
                status, out, err = run('ping', server.target, '--cafile', ca)
                self.assertEqual((status, out), (1, ''))
                self.assertRegex(err, rf'^weir ping: [^\n]*certificate verify failed: {why}\n$')

    def test_the_system_does_not_trust_our_authority(self):
        with self.echo() as server:
            status, out, err = connect(server.target, data=b'secret')
            self.assertEqual((status, out), (1, b''))
            self.assertIn('its issuer is not trusted', err)

    def test_insecure_takes_all_of_them_and_says_so(self):
        for name in ('other', 'expired', 'alone'):
            with self.subTest(name), self.echo(name) as server:
                status, out, err = connect(server.target, '--insecure', data=b'data')
                self.assertEqual((status, out), (0, b'data'))
                self.assertIn('weir connect: WARNING: --insecure: neither the certificate nor the host name is verified', err)
                status, out, err = run('ping', server.target, '--insecure', '--count', 10)
                self.assertEqual(status, 0)
                self.assertIn('weir ping: WARNING: --insecure', err)

    def test_a_server_without_tls(self):
        def talk_otherwise(connection):
            connection.recv(1 << 16)
            connection.sendall(b'220 this is no TLS\r\n')

        with listener(talk_otherwise) as target:
            status, out, err = connect(target.replace('tcp:', 'tls:'), '--cafile', self.made.ca)
            self.assertEqual((status, out), (1, b''))
            self.assertRegex(err, r'^weir connect: [^\n]*what came is not TLS\n$')

    def test_a_server_that_never_answers(self):
        over = threading.Event()
        with listener(lambda connection: over.wait(LIMIT)) as target:
            try:
                status, _, err = connect(target.replace('tcp:', 'tls:'), '--cafile', self.made.ca, '--timeout', '200ms')
                self.assertEqual(status, 1)
                self.assertRegex(err, r'^weir connect: [^\n]*timed out\n$')
            finally:
                over.set()

    def test_a_server_of_python(self):
        heard = []

        def answer(connection):
            heard.append((connection.version(), connection.selected_alpn_protocol()))
            echo_and_end(connection)

        context = self.made.server_context()
        context.set_alpn_protocols(['weir', 'other'])
        with tls_listener(context, answer) as target:
            status, out, err = connect(target, '--cafile', self.made.ca, '--alpn', 'other,weir', '--verbose', *PATIENT, data=DATA)
            self.assertEqual((status, out == DATA), (0, True))
            self.assertRegex(err, r'^weir connect: TLSv1\.3, TLS_\w+, protocol: weir, '
                                  r"certificate: localhost, issued by weir's local authority\n$")
        self.assertEqual(heard, [('TLSv1.3', 'weir')])

    def test_verbose_tells_what_was_not_verified(self):
        with self.echo('alone') as server:
            status, _, err = connect(server.target, '--insecure', '--verbose', '--linger', '1ms')
            self.assertEqual(status, 0)
            self.assertIn('protocol: none, certificate: 127.0.0.1, issued by 127.0.0.1 (not verified)\n', err)

    def test_it_ends_with_the_peer(self):
        def speak_and_end(connection):
            connection.sendall(b'good bye')
            connection.unwrap()

        with tls_listener(self.made.server_context(), speak_and_end) as target, \
                subprocess.Popen([WEIR, 'connect', target, '--cafile', str(self.made.ca)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, preexec_fn=default_interrupt) as process:  # whose input does not end
            self.assertEqual(process.stdout.read(), b'good bye')
            self.assertEqual((process.wait(LIMIT), process.stderr.read()), (0, b''))

    def test_the_input_ends_when_the_peer_has_ended(self):
        """Both wait when the program looks: nothing is wrong, but the connection is gone before its input is sent."""
        is_stopped, has_ended = threading.Event(), threading.Event()

        def speak_and_end(connection):
            is_stopped.wait(LIMIT)
            connection.sendall(b'good bye')
            connection.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                connection.unwrap()
            connection.close()
            has_ended.set()

        for data in (b'', b'too late'):
            with self.subTest(data), tls_listener(self.made.server_context(), speak_and_end) as target, \
                    subprocess.Popen([WEIR, 'connect', target, '--cafile', str(self.made.ca), '--verbose'], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=default_interrupt) as process:
                self.assertIn(b'weir connect: TLSv1.3', process.stderr.readline())
                process.send_signal(signal.SIGSTOP)
                os.waitpid(process.pid, os.WUNTRACED)
                is_stopped.set()
                self.assertTrue(has_ended.wait(LIMIT))
                process.stdin.write(data)
                process.stdin.close()
                process.send_signal(signal.SIGCONT)
                self.assertEqual((process.stdout.read(), process.stderr.read(), process.wait(LIMIT)), (b'good bye', b'', 0))
            is_stopped.clear()
            has_ended.clear()

    def test_a_cut_is_not_taken_for_the_end(self):
        with tls_listener(self.made.server_context(), lambda connection: connection.sendall(b'half of it')) as target:
            status, out, err = connect(target, '--cafile', self.made.ca, '--linger', '10s')
            self.assertEqual((status, out), (1, b'half of it'))
            self.assertRegex(err, r'^weir connect: [^\n]*without a close notification\n$')

    def test_an_answer_that_takes_longer_than_the_input(self):
        release = threading.Event()

        def answer_late(connection):
            question = connection.recv(100)
            release.wait(LIMIT)
            connection.sendall(b'you said ' + question)
            connection.unwrap()

        with tls_listener(self.made.server_context(), answer_late) as target, \
                subprocess.Popen([WEIR, 'connect', target, '--cafile', str(self.made.ca), '--linger', '10s'], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=default_interrupt) as process:
            process.stdin.write(b'hello')
            process.stdin.close()
            release.set()
            self.assertEqual(process.stdout.read(), b'you said hello')
            self.assertEqual((process.wait(LIMIT), process.stderr.read()), (0, b''))

    def test_client_certificates(self):
        with self.echo('server', '--client-ca', self.made.ca) as server:
            good = ('--cafile', self.made.ca)
            self.assertEqual(connect(server.target, *good, *self.made.showing(), data=b'it is me'), (0, b'it is me', ''))
            status, out, err = run('ping', server.target, '--cafile', self.made.ca, *self.made.showing(), '--count', 10)
            self.assertEqual((status, err), (0, ''))
            for shown, alert in (((), 'certificate required'), (self.made.showing('alone'), 'unknown ca')):
                status, out, err = connect(server.target, '--cafile', self.made.ca, '--linger', '10s', *shown)
                self.assertEqual((status, out), (1, b''))
                self.assertRegex(err, rf'^weir connect: [^\n]*alert {alert}[^\n]*\n$')
            server.interrupt()
            status, _, err = server.end()
            self.assertEqual(status, 130)
            self.assertIn('the peer did not show a certificate', err)

    def test_files_that_are_no_certificates(self):
        for arguments in (['--cafile', '/dev/null'], ['--client-cert', __file__, '--client-key', __file__]):
            status, out, err = connect('tls://127.0.0.1:9', *arguments)
            self.assertEqual((status, out), (1, b''))
            self.assertRegex(err, rf'^weir connect: [^\n]*{arguments[1]}[^\n]*unusable certificate or key\n$')


class TlsPing(TlsTestCase):
    def test_round_trips(self):
        with Server('echo', LISTEN, *self.made.listening()) as server:
            for arguments in ([], ['--connections', 20], ['--count', 20, '--size', 1 << 20, '--connections', 3]):
                with self.subTest(arguments):
                    status, out, err = run('ping', server.target, '--cafile', self.made.ca, *arguments)
                    self.assertEqual((status, err), (0, ''))
                    self.assertRegex(out, rf'^\d+ round trips of \d+ bytes to {server.target} on ')
            self.ends_well(server)


if __name__ == '__main__':
    main()
