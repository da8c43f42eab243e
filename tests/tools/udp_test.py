"""weir echo, discard and ping over udp://."""

import re
import signal
import socket
import threading
import unittest

from program import LIMIT, Server, main, run

LISTEN = 'udp://127.0.0.1:0'


def client(target):
    host, port = re.fullmatch(r'udp://(127\.0\.0\.1):(\d+)', target).groups()
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.settimeout(LIMIT)
    connection.connect((host, int(port)))
    return connection


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
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(('127.0.0.1', 0))
            port = gone.getsockname()[1]
        status, out, err = run('ping', f'udp://127.0.0.1:{port}')
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


if __name__ == '__main__':
    main()
