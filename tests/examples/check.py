"""Runs an example and compares what it prints.

Usage: check.py EXAMPLE PROGRAM...      readme: the README and the sources that its code comes from instead
"""

import os
import pathlib
import re
import signal
import subprocess
import sys

LIMIT = 60  # seconds until the check gives up

EXPECTED = {
    'hello_world': 'Hello World\n',
    'clock': '0 s\n1 s\n2 s\n3 s\n4 s\n',
    'watch_descriptor': 'Received: abc\n',
    'set_future': 'hello ...\n... world\n',
    'first_program': 'hello, weir\n',
    'from_asyncio': 'ONE\nTWO\nTHREE\ncancelled\n6765\ntick\n1\n2\n3\n',
    'sim_test': '100 seeds, 100 seconds of virtual time\n',
}
CLIENT = ["Data sent: 'Hello World!'", "Data received: 'Hello World!'", 'The server closed the connection']
SERVER = ['Connection from 127.0.0.1', "Data received: 'Hello World!'", "Send: 'Hello World!'", 'Close the client socket']


def compare(what, found, expected):
    if found != expected:
        sys.exit(f'{what}: expected {expected!r}, found {found!r}')


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)


def check_output(example, program):
    done = run(program)
    compare(example, (done.returncode, done.stdout, done.stderr), (0, EXPECTED[example], ''))


def check_echo(server_program, client_program):
    """Server and client as two processes."""
    server = subprocess.Popen([server_program, '0'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        serving = re.fullmatch(r'Serving on 127\.0\.0\.1:(\d+)\n', server.stdout.readline())
        client = run(client_program, serving.group(1))
        compare('echo_client', (client.returncode, client.stdout.splitlines(), client.stderr), (0, CLIENT, ''))
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=LIMIT)
        compare('echo_server', (server.returncode, out.splitlines(), err), (130, SERVER, ''))
    finally:
        server.kill()
        server.wait()


def check_echo_together(program):
    """Both on one loop: the lines of each in their order, mixed as the loop ran them."""
    done = run(program)
    compare('echo_together', (done.returncode, done.stderr), (0, ''))
    lines = done.stdout.splitlines()
    compare('echo_together', (lines[0], lines[-1]), ('Serving on 127.0.0.1:8888', 'The server is closed'))
    compare('echo_together', sorted(lines[1:-1]), sorted(CLIENT + SERVER))
    for one in (SERVER, CLIENT):
        positions = [lines.index(line) for line in one if not line.startswith('Data received')]
        compare('the order of lines', positions, sorted(positions))


def check_readme(readme, *sources):
    """What the README shows is what is compiled and checked: each block stands in a file, as it is."""
    texts = [pathlib.Path(source).read_text() for source in sources]
    blocks = re.findall(r'```(cpp|meson)\n(.*?)```', pathlib.Path(readme).read_text(), re.DOTALL)
    if not any(kind == 'cpp' for kind, _ in blocks) or not any(kind == 'meson' for kind, _ in blocks):
        sys.exit('the README shows no code')
    for kind, block in blocks:
        if not any(block in text for text in texts):
            sys.exit(f'no file contains this {kind} block of the README:\n{block}')


if __name__ == '__main__':
    example, arguments = sys.argv[1], sys.argv[2:]
    {'echo': check_echo, 'echo_together': check_echo_together, 'readme': check_readme}.get(
        example, lambda *programs: check_output(example, *programs))(*arguments)
    print(f'weir-tests: examples/{example} {os.environ.get("WEIR_BACKEND", "-")} passed=1 failed=0 skipped=0')
