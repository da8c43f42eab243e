"""The show of tools/demo: real clients use the weir program, one step a line. Exit status 1 when a step failed.

Usage: demo.py WEIR     WEIR is the program that was built
"""

import asyncio
import contextlib
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

LIMIT = 60  # seconds until a step has failed


class Demo:
    def __init__(self, weir):
        self.weir = weir
        self.failed = 0

    @contextlib.contextmanager
    def step(self, what):
        """One line: what is done, how it went, how long it took, and a note."""
        print(f'  {what:<52} ', end='', flush=True)
        notes, started = [], time.monotonic()
        try:
            yield notes.append
        except (AssertionError, OSError, subprocess.SubprocessError, TimeoutError) as problem:
            self.failed += 1
            print('FAILED')
            print(f'    {type(problem).__name__}: {problem}', file=sys.stderr)
            for output in (getattr(problem, 'stdout', None), getattr(problem, 'stderr', None)):
                if output:
                    print(f'    {output.decode(errors="replace").strip()}', file=sys.stderr)
        else:
            print(f'ok  {time.monotonic() - started:.1f} s{"  " + notes[0] if notes else ""}', flush=True)


class Server:
    """A program that serves until the end of the `with`; it says where in its first line."""

    def __init__(self, pattern, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        line = self.process.stdout.readline()
        found = re.search(pattern, line)
        if not found:
            self.__exit__()
            raise AssertionError(f'{" ".join(command)} did not say where it listens: {line!r}')
        self.port = found.group(1)

    def interrupt(self):
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(LIMIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def weir_server(demo, *arguments):
    return Server(r'^tcp://127\.0\.0\.1:(\d+)\n$', demo.weir, *arguments)


def client(*command, data=None):
    """What a client prints when it is given the data."""
    done = subprocess.run(command, input=data, stdin=subprocess.DEVNULL if data is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT, check=True)
    return done.stdout


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


async def asyncio_client(port, data):
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def show_echo(demo, data):
    what, latency = f'{len(data) >> 20} MiB came back', []
    with weir_server(demo, 'echo', 'tcp://127.0.0.1:0') as echo:
        print(f'\n  weir echo listens on tcp://127.0.0.1:{echo.port}')
        with demo.step('socat sends a file and gets it back') as note:
            expect(client('socat', '-t', str(LIMIT), '-', f'TCP:127.0.0.1:{echo.port}', data=data) == data, 'other bytes came back')
            note(what)
        with demo.step('ncat too') as note:
            expect(client('ncat', '127.0.0.1', echo.port, data=data) == data, 'other bytes came back')
            note(what)
        with demo.step("Python's asyncio too") as note:
            answer = asyncio.run(asyncio.wait_for(asyncio_client(echo.port, data), LIMIT))
            expect(answer == data, 'other bytes came back')
            note(what)
        with demo.step('weir ping, 20000 round trips on 16 connections') as note:
            told = client(demo.weir, 'ping', f'tcp://127.0.0.1:{echo.port}', '--count', '20000', '--connections', '16')
            lines = told.decode().splitlines()
            expect(len(lines) == 3, lines)
            note(lines[2].removeprefix('rate: '))
            latency.append(lines[1])
        for line in latency:
            print(f'    {line}')
        with demo.step('weir connect, a small netcat, by name') as note:
            told = client(demo.weir, 'connect', f'tcp://localhost:{echo.port}', data=data)
            expect(told == data, 'other bytes came back')
            note(what)
        with demo.step('Ctrl-C ends weir echo'):
            expect(echo.interrupt() == 130, 'the exit status is not 130')


def show_relay(demo, data, folder):
    (pathlib.Path(folder) / 'download').write_bytes(data)
    with Server(r'port (\d+)', sys.executable, '-u', '-m', 'http.server', '--bind', '127.0.0.1', '--directory', folder, '0') as web, \
            weir_server(demo, 'relay', 'tcp://127.0.0.1:0', f'tcp://127.0.0.1:{web.port}') as relay:
        print(f'\n  weir relay listens on tcp://127.0.0.1:{relay.port}, and connects to a web server on port {web.port}')
        with demo.step('curl downloads a file through it') as note:
            url = f'http://127.0.0.1:{relay.port}/download'
            received = client('curl', '-sS', '--fail', '--noproxy', '*', '--max-time', str(LIMIT), url)
            sums = [hashlib.sha256(some).hexdigest() for some in (data, received)]
            expect(sums[0] == sums[1], f'the checksums differ: {sums}')
            note(f'{len(received) >> 20} MiB, sha256 {sums[0][:16]}… on both sides')
        with demo.step('Ctrl-C ends weir relay'):
            expect(relay.interrupt() == 130, 'the exit status is not 130')


def show_datagrams(demo):
    with Server(r'^udp://127\.0\.0\.1:(\d+)\n$', demo.weir, 'echo', 'udp://127.0.0.1:0') as echo:
        print(f'\n  weir echo listens on udp://127.0.0.1:{echo.port}')
        with demo.step('socat sends a datagram and gets it back'):
            answer = client('socat', '-T', '5', '-', f'UDP:127.0.0.1:{echo.port},shut-none', data=b'a datagram')
            expect(answer == b'a datagram', answer)


def show_serve(demo, data, folder):
    (pathlib.Path(folder) / 'served').write_bytes(data)
    with weir_server(demo, 'serve', folder, '--listen', 'tcp://127.0.0.1:0') as web:
        print(f'\n  weir serve gives a folder away on http://127.0.0.1:{web.port}')
        url, curl = f'http://127.0.0.1:{web.port}/served', ('curl', '-sS', '--fail', '--noproxy', '*', '--max-time', str(LIMIT))
        with demo.step('curl downloads a file') as note:
            expect(client(*curl, url) == data, 'other bytes came')
            note(f'{len(data) >> 20} MiB by sendfile')
        with demo.step('and a part of it'):
            expect(client(*curl, '--range', '1000-1999', url) == data[1000:2000], 'other bytes came')
        with demo.step('Ctrl-C ends weir serve'):
            expect(web.interrupt() == 130, 'the exit status is not 130')


def main(weir):
    # Ended from outside, it still cleans up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    demo = Demo(weir)
    with demo.step('weir info') as note:
        note(client(weir, 'info').decode().partition('\n\n')[0].replace('\n', ', '))
    data = os.urandom(32 << 20)
    with tempfile.TemporaryDirectory(prefix='weir-demo-') as folder:
        for show, arguments in ((show_echo, (demo, data)), (show_relay, (demo, data, folder)), (show_datagrams, (demo,)),
                                (show_serve, (demo, data, folder))):
            try:
                show(*arguments)
            except (AssertionError, OSError) as problem:
                demo.failed += 1
                print(f'  {problem}', file=sys.stderr)
    name = os.path.relpath(weir)
    if demo.failed:
        print(f'\ndemo: {demo.failed} step{"s" if demo.failed > 1 else ""} FAILED')
        return 1
    print(f'\ndemo: all went well. Try it yourself: {name} echo tcp://127.0.0.1:8888, then {name} ping tcp://127.0.0.1:8888')
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        print('\ndemo: interrupted')
        sys.exit(130)
