"""weir echo, discard, ping, connect and relay over udp://."""

import re
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from program import LIMIT, WEIR, Server, default_interrupt, main, noise, run

LISTEN = 'udp://127.0.0.1:0'


def client(target):
    host, port = re.fullmatch(r'udp://(127\.0\.0\.1):(\d+)', target).groups()
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.settimeout(LIMIT)
    connection.connect((host, int(port)))
    return connection


def connect(target, *options, **streams):
    return subprocess.Popen([WEIR, 'connect', target, *options], stderr=subprocess.PIPE, preexec_fn=default_interrupt, **streams)


def nobody():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(('127.0.0.1', 0))
        return f'udp://127.0.0.1:{gone.getsockname()[1]}'


class Udp(unittest.TestCase):
    def test_echo(self):
        with Server('echo', LISTEN) as echo, client(echo.target) as one, client(echo.target) as other:
            other.send(b'other')
            for message in (b'one', b'', b'x' * 65507, b'last'):
                one.send(message)
                self.assertEqual(one.recv(100000), message)
            for number in range(100):
                one.send(str(number).encode())
            self.assertEqual([one.recv(10) for _ in range(100)], [str(number).encode() for number in range(100)])
            self.assertEqual(other.recv(100), b'other')

    def test_beside_connections(self):
        with Server('echo', LISTEN, 'tcp://127.0.0.1:0', LISTEN, listens=3) as echo:
            self.assertEqual([line[:6] for line in echo.lines], ['tcp://', 'udp://', 'udp://'])
            for target in echo.lines:
                status, out, err = run('ping', target, '--count', 10)
                self.assertEqual((status, err), (0, ''))

    def test_discard(self):
        with Server('discard', LISTEN) as discard, client(discard.target) as one:
            one.send(b'x')
            one.setblocking(False)
            status, out, err = run('ping', discard.target, '--timeout', '100ms')
            self.assertEqual((status, out), (1, ''))
            self.assertIn('nothing came back for 100 ms', err)
            self.assertRaises(BlockingIOError, one.recv, 1)

    def test_ping(self):
        with Server('echo', LISTEN) as echo:
            status, out, err = run('ping', echo.target, '--count', 500, '--connections', 5, '--size', 1000)
            self.assertEqual((status, err), (0, ''))
            self.assertIn(f'500 round trips of 1000 bytes to {echo.target} on 5 connections in ', out)

    def test_a_wrong_byte(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(('127.0.0.1', 0))

            def answer():
                message, address = server.recvfrom(1000)
                server.sendto(message[:-1] + bytes([message[-1] ^ 1]), address)

            thread = threading.Thread(target=answer)
            thread.start()
            status, out, err = run('ping', f'udp://127.0.0.1:{server.getsockname()[1]}')
            thread.join()
            self.assertEqual((status, out), (1, ''))
            self.assertIn('byte 64 of round trip 1 came back wrong', err)

    def test_nobody_listens(self):
        status, out, err = run('ping', nobody())
        self.assertEqual((status, out), (1, ''))
        self.assertRegex(err, r'Connection refused\n$')

    def test_interrupt(self):
        with Server('echo', LISTEN) as echo, client(echo.target) as one:
            one.send(b'x')
            self.assertEqual(one.recv(10), b'x')
            echo.process.send_signal(signal.SIGINT)
            out, err = echo.process.communicate(timeout=LIMIT)
            self.assertEqual((echo.process.returncode, out, err), (130, '', ''))

    def test_what_needs_connections(self):
        for arguments in (('relay', LISTEN, 'tcp://127.0.0.1:1'), ('relay', 'tcp://127.0.0.1:0', 'udp://127.0.0.1:1'),
                          ('echo', LISTEN, '--once'), ('echo', LISTEN, '--api', 'sock'),
                          ('ping', 'udp://127.0.0.1:1', '--size', 65508)):
            with self.subTest(arguments):
                status, out, err = run(*arguments)
                self.assertEqual((status, out), (2, ''))
                self.assertRegex(err, r'^weir [a-z]+: [^\n]*(udp|datagram)[^\n]*\n$')


class Connect(unittest.TestCase):
    def test_each_piece_of_a_pipe_is_a_datagram(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(('127.0.0.1', 0))
            server.settimeout(LIMIT)
            target = f'udp://127.0.0.1:{server.getsockname()[1]}'
            with connect(target, '--linger', '20s', stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                for line in (b'one\n', b'two\n'):
                    process.stdin.write(line)
                    process.stdin.flush()
                    received, peer = server.recvfrom(100)
                    self.assertEqual(received, line)
                    server.sendto(b'', peer)  # which is not an end
                    server.sendto(b'got ' + line, peer)
                    self.assertEqual(process.stdout.readline(), b'got ' + line)
                process.send_signal(signal.SIGINT)
                self.assertEqual((process.wait(LIMIT), process.stderr.read()), (130, b''))

    def test_a_file_and_the_silence_behind_it(self):
        data = noise(100_000)
        with Server('echo', LISTEN) as echo, tempfile.TemporaryFile() as there, tempfile.TemporaryFile() as back:
            there.write(data)
            there.seek(0)
            with connect(echo.target, '--linger', '300ms', stdin=there, stdout=back) as process:
                self.assertEqual((process.wait(LIMIT), process.stderr.read()), (0, b''))
            back.seek(0)
            self.assertEqual(back.read(), data)

    def test_nobody_listens(self):
        with connect(nobody(), '--linger', '20s', stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            process.stdin.write(b'hello')
            process.stdin.flush()  # and the input stays open
            self.assertEqual(process.wait(LIMIT), 1)
            self.assertRegex(process.stderr.read(), rb'^weir connect: [^\n]*Connection refused\n$')


class Relay(unittest.TestCase):
    def test_each_client_gets_its_own_answers(self):
        with Server('echo', LISTEN) as echo, Server('relay', LISTEN, echo.target) as relay:
            clients = [client(relay.target) for _ in range(20)]
            for round_trip in range(3):
                for number, one in enumerate(clients):
                    one.send(b'%d of %d' % (round_trip, number))
                    one.send(b'')
                for number, one in enumerate(clients):
                    self.assertEqual((one.recv(100), one.recv(100)), (b'%d of %d' % (round_trip, number), b''))
            for one in clients:
                one.close()
            status, out, err = run('ping', relay.target, '--count', 500, '--connections', 5, '--size', 9000)
            self.assertEqual((status, err), (0, ''))
            relay.interrupt()
            self.assertEqual(relay.end(), (130, '', ''))

    def test_a_client_that_is_silent_is_forgotten(self):
        def session(server):
            one.send(b'x')
            return server.recvfrom(10)[1]

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(('127.0.0.1', 0))
            server.settimeout(LIMIT)
            target = f'udp://127.0.0.1:{server.getsockname()[1]}'
            with Server('relay', LISTEN, target, '--idle-timeout', '50ms') as relay, client(relay.target) as one:
                first = session(server)
                # Its endpoint is closed, so that answers are refused.
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.connect(first)
                    probe.settimeout(LIMIT)
                    with self.assertRaises(ConnectionRefusedError):
                        while True:  # the endpoint hears its target only, so that these do not keep it
                            probe.send(b'?')
                self.assertNotEqual(session(server), None)
                relay.interrupt()
                self.assertEqual(relay.end(), (130, '', ''))

    def test_a_target_that_refuses_is_told_and_heard_when_it_is_back(self):
        target = nobody()
        with Server('relay', LISTEN, target) as relay, client(relay.target) as one:
            one.send(b'lost')
            self.assertRegex(relay.process.stderr.readline(), r'^weir relay: 127\.0\.0\.1:\d+: [^\n]*Connection refused\n$')
            with Server('echo', target):
                one.send(b'found')
                self.assertEqual(one.recv(10), b'found')


if __name__ == '__main__':
    main()
