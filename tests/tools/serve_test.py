"""`weir serve`: curl and raw sockets as its clients, wrk for load."""

import contextlib
import email.utils
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from program import LIMIT, Server, main, noise, read_all, receive

LARGE = noise(5 << 20)
SPARSE = 256 << 20


def curl(*arguments):
    """(exit status, what it wrote)."""
    done = subprocess.run(['curl', '-sS', '--noproxy', '*', '--max-time', str(LIMIT), *map(str, arguments)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2 * LIMIT)
    return done.returncode, done.stdout


class Serve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        outside = pathlib.Path(cls.stack.enter_context(tempfile.TemporaryDirectory(prefix='weir-serve-')))
        (outside / 'secret').write_text('secret')
        folder = outside / 'public'
        (folder / 'sub').mkdir(parents=True)
        (folder / 'page.html').write_text('<p>page</p>')
        (folder / 'sub' / 'index.html').write_text('index')
        (folder / 'a b.txt').write_text('blank')
        (folder / 'empty').write_bytes(b'')
        (folder / 'large').write_bytes(LARGE)
        (folder / 'inside').symlink_to('page.html')
        (folder / 'escape').symlink_to('../secret')
        (folder / 'escaping').symlink_to('..')
        (folder / 'closed').write_text('nobody')
        os.mkfifo(folder / 'fifo')
        cls.folder = folder
        cls.server = cls.stack.enter_context(Server('serve', folder, '--listen', 'tcp://127.0.0.1:0'))
        cls.url = 'http://' + cls.server.target.removeprefix('tcp://')

    @classmethod
    def tearDownClass(cls):
        cls.server.interrupt()
        status, _, err = cls.server.end()
        cls.stack.close()
        assert (status, err) == (130, ''), (status, err)

    def talk(self, request):
        """The bytes of the answer to the bytes of a request, up to the end of the connection."""
        with self.server.connect() as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def status_of(self, path, *arguments):
        status, out = curl('-o', '/dev/null', '-w', '%{http_code}', '--path-as-is', *arguments, self.url + path)
        self.assertEqual(status, 0)
        return int(out)

    def test_get(self):
        for path, body in (('/page.html', b'<p>page</p>'), ('/sub/', b'index'), ('/a%20b.txt', b'blank'), ('/empty', b''),
                           ('/large', LARGE), ('/inside', b'<p>page</p>'), ('/page.html?query=1', b'<p>page</p>')):
            with self.subTest(path):
                self.assertEqual(curl('--fail', self.url + path), (0, body))

    def test_fields(self):
        status, head = curl('-I', self.url + '/page.html')
        self.assertEqual(status, 0)
        lines = head.decode().split('\r\n')
        self.assertEqual(lines[0], 'HTTP/1.1 200 OK')
        fields = dict(line.split(': ', 1) for line in lines[1:] if line)
        self.assertEqual(fields['Content-Length'], '11')
        self.assertEqual(fields['Content-Type'], 'text/html; charset=utf-8')
        self.assertEqual(fields['Accept-Ranges'], 'bytes')
        modified = email.utils.parsedate_to_datetime(fields['Last-Modified']).timestamp()
        self.assertEqual(modified, int((self.folder / 'page.html').stat().st_mtime))
        email.utils.parsedate_to_datetime(fields['Date'])

    def test_not_modified(self):
        _, head = curl('-I', self.url + '/page.html')
        modified = re.search(rb'Last-Modified: (.*)\r', head).group(1).decode()
        self.assertEqual(self.status_of('/page.html', '-H', f'If-Modified-Since: {modified}'), 304)
        self.assertEqual(self.status_of('/page.html', '-H', 'If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT'), 200)
        self.assertEqual(self.status_of('/page.html', '-H', 'Range: bytes=1-2', '-H', f'If-Range: {modified}'), 206)
        self.assertEqual(self.status_of('/page.html', '-H', 'Range: bytes=1-2', '-H', 'If-Range: "x"'), 200)

    def test_ranges(self):
        for asked, part in (('0-0', LARGE[:1]), ('100-199', LARGE[100:200]), ('5000000-', LARGE[5000000:]), ('-7', LARGE[-7:])):
            with self.subTest(asked):
                self.assertEqual(curl('--fail', '-r', asked, self.url + '/large'), (0, part))
                self.assertEqual(self.status_of('/large', '-r', asked), 206)
        self.assertEqual(self.status_of('/large', '-r', f'{len(LARGE)}-'), 416)
        self.assertEqual(self.status_of('/empty', '-r', '0-1'), 416)
        self.assertEqual(self.status_of('/page.html', '-r', '0-1,3-4'), 200)
        _, head = curl('-i', '-r', '2-4', self.url + '/page.html')
        self.assertIn(b'\r\nContent-Range: bytes 2-4/11\r\n', head)
        self.assertTrue(head.endswith(b'\r\n\r\n>pa'))

    def test_not_there(self):
        for path, status in (('/nothing', 404), ('/', 404), ('/sub', 301), ('/page.html/', 404), ('/fifo', 404)):
            with self.subTest(path):
                self.assertEqual(self.status_of(path), status)
        self.assertEqual(self.status_of('/page.html', '-X', 'POST', '-H', 'Content-Length: 0'), 405)
        self.assertEqual(self.status_of('/page.html', '-d', 'body'), 413)
        self.assertEqual(curl('--fail', '-L', self.url + '/sub'), (0, b'index'))

    def test_no_way_out(self):
        for path in ('/../secret', '/sub/../../secret', '/%2e%2e/secret', '/..%2fsecret', '//secret', '/./page.html'):
            with self.subTest(path):
                self.assertEqual(self.status_of(path), 400)
        for path in ('/escape', '/escaping/secret', '/escaping/public/page.html/../../secret'):
            with self.subTest(path):
                self.assertIn(self.status_of(path), (400, 404))

    def test_keep_alive(self):
        status, out = curl('-w', '%{num_connects} ', self.url + '/page.html', self.url + '/sub/', self.url + '/nothing', self.url + '/empty')
        self.assertEqual((status, out), (0, b'<p>page</p>1 index0 404 Not Found\n0 0 '))
        self.assertIn(b'Connection: close', self.talk(b'GET /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'))
        self.assertIn(b'Connection: close', self.talk(b'GET /empty HTTP/1.0\r\n\r\n'))

    def test_pipelined_requests_are_answered_in_order(self):
        names = ['page.html', 'large', 'nothing', 'sub/', 'large'] * 3
        answers = self.talk(b''.join(b'GET /%s HTTP/1.1\r\nHost: a\r\n\r\n' % name.encode() for name in names))
        for name in names:
            head, _, answers = answers.partition(b'\r\n\r\n')
            length = int(re.search(rb'Content-Length: (\d+)', head).group(1))
            body, answers = answers[:length], answers[length:]
            expected = {'page.html': b'<p>page</p>', 'large': LARGE, 'sub/': b'index', 'nothing': b'404 Not Found\n'}[name]
            self.assertEqual(body, expected, name)
        self.assertEqual(answers, b'')

    def test_what_is_no_request(self):
        for request, status in ((b'nonsense\r\n\r\n', b'400'), (b'GET / HTTP/3.0\r\nHost: a\r\n\r\n', b'505'),
                                (b'GET /' + b'x' * 20000 + b' HTTP/1.1\r\nHost: a\r\n\r\n', b'431'),
                                (b'GET / HTTP/1.1\r\nHost: a\r\n' + b'A: b\r\n' * 5000 + b'\r\n', b'431')):
            with self.subTest(request[:20]):
                answer = self.talk(request)
                self.assertTrue(answer.startswith(b'HTTP/1.1 ' + status), answer[:40])
                self.assertIn(b'Connection: close', answer)
        self.assertEqual(self.talk(b'GET / HTTP/1.1\r\nHost'), b'')
        self.assertEqual(self.talk(b''), b'')

    def test_a_client_that_goes_away_in_the_middle_of_a_file(self):
        for _ in range(20):
            connection = self.server.connect()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b'GET /large HTTP/1.1\r\nHost: a\r\n\r\n')
            connection.recv(1000)
            connection.close()
        self.assertEqual(curl('--fail', self.url + '/page.html'), (0, b'<p>page</p>'))

    def test_idle_clients_are_dropped(self):
        with Server('serve', self.folder, '--listen', 'tcp://127.0.0.1:0', '--idle-timeout', '100ms') as server:
            with server.connect() as connection:
                connection.sendall(b'GET / HT')
                with contextlib.suppress(ConnectionResetError):
                    self.assertEqual(read_all(connection), b'')

    def test_a_file_that_becomes_shorter(self):
        path = self.folder / 'shrinking'
        path.touch()
        os.truncate(path, SPARSE)  # more than the buffers of a connection hold
        with self.server.connect() as connection:
            connection.sendall(b'GET /shrinking HTTP/1.1\r\nHost: a\r\n\r\n')
            received = connection.recv(1000)
            os.truncate(path, 1000)
            with contextlib.suppress(ConnectionResetError):
                received += read_all(connection)
        self.assertLess(len(received), SPARSE)

    @unittest.skipUnless(sys.platform == 'linux', 'prlimit')
    def test_no_descriptor_left_for_a_file(self):
        with Server('serve', self.folder, '--listen', 'tcp://127.0.0.1:0') as server, server.connect() as connection:
            def get(name):
                connection.sendall(b'GET /%s HTTP/1.1\r\nHost: a\r\n\r\n' % name)
                head = b''
                while b'\r\n\r\n' not in head:
                    head += receive(connection, 1)
                return int(head.split()[1]), receive(connection, int(re.search(rb'Content-Length: (\d+)', head).group(1)))

            self.assertEqual(get(b'page.html'), (200, b'<p>page</p>'))
            self.assertEqual(get(b'nothing')[0], 404)  # then all before it is over, the file is closed
            unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
            most = len(os.listdir(f'/proc/{server.process.pid}/fd'))
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (most, unlimited[1]))
            for name in (b'page.html', b'large', b'sub/'):
                self.assertEqual(get(name), (503, b'503 Service Unavailable\n'))
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, unlimited)
            self.assertEqual(get(b'page.html'), (200, b'<p>page</p>'))
            self.assertEqual(get(b'large'), (200, LARGE))
            self.assertEqual(get(b'nothing')[0], 404)
            self.assertEqual(len(os.listdir(f'/proc/{server.process.pid}/fd')), most)
            server.interrupt()
            status, _, err = server.end()
            self.assertEqual((status, err), (130, ''))

    @unittest.skipUnless(shutil.which('wrk'), 'wrk')
    def test_load(self):
        done = subprocess.run(['wrk', '-t2', '-c50', '-d2s', self.url + '/page.html'], stdout=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertGreater(int(re.search(r'(\d+) requests in', done.stdout).group(1)), 100, done.stdout)
        self.assertNotIn('Non-2xx', done.stdout)
        self.assertNotIn('Socket errors', done.stdout)


if __name__ == '__main__':
    main()
