"""Runs an example and compares what it prints.

Usage: check.py EXAMPLE PROGRAM...      those for tools/sim_sweep: SWEEP PROGRAM
       check.py pages PAGE... -- SOURCE...  the README and other pages, and the sources that their code comes from
"""

import contextlib
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile

WRAPPER = shlex.split(os.environ.get('MESON_EXE_WRAPPER', ''))  # of programs for another system
LIMIT = 60  # seconds until the check gives up

EXPECTED = {
    'hello_world': 'Hello World\n',
    'clock': '0 s\n1 s\n2 s\n3 s\n4 s\n',
    'connect_socket': 'Received: abc\n',
    'watch_descriptor': 'Received: abc\n',
    'stream_echo': 'Received Hello World!\nReceived and good bye\nClose the connection\nAnswer: Hello World!\nand good bye\n',
    'set_future': 'hello ...\n... world\n',
    'first_program': 'hello, weir\n',
    'from_asyncio': 'ONE\nTWO\nTHREE\ncancelled\n6765\ntick\n1\n2\n3\n',
    'sim_test': '100 seeds, 100 seconds of virtual time\n',
}
CLIENT = ["Data sent: 'Hello World!'", "Data received: 'Hello World!'", 'The server closed the connection']
UDP_CLIENT = ["Send: 'Hello World!'", "Received: 'Hello World!'", 'Close the socket', 'Connection closed']
UDP_SERVER = ["Received 'Hello World!' from 127.0.0.1", "Send 'Hello World!' to 127.0.0.1"]
SERVER = ['Connection from 127.0.0.1', "Data received: 'Hello World!'", "Send: 'Hello World!'", 'Close the client socket']


def compare(what, found, expected):
    if found != expected:
        sys.exit(f'{what}: expected {expected!r}, found {found!r}')


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)


def check_output(example, program):
    done = run(*WRAPPER, program)
    compare(example, (done.returncode, done.stdout, done.stderr), (0, EXPECTED[example], ''))


@contextlib.contextmanager
def serving(command, first=(), said=(), complaint=''):
    """Gives the port of a server, which is interrupted at the end. After its first lines it must have said just this."""
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        for line in first:
            compare('the first lines', server.stdout.readline(), line + '\n')
        yield re.fullmatch(r'Serving on 127\.0\.0\.1:(\d+)\n', server.stdout.readline()).group(1)
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=LIMIT)
        compare('the server', (server.returncode, out.splitlines()), (130, list(said)))
        if complaint not in err or bool(complaint) != bool(err):
            sys.exit(f'the server: expected {complaint!r} on stderr, found {err!r}')
    finally:
        server.kill()
        server.wait()


def check_echo(server_program, client_program, first=(), server_lines=SERVER, client_lines=CLIENT):
    """Server and client as two processes."""
    with serving([server_program, '0'], first, server_lines) as port:
        client = run(client_program, port)
        compare('the client', (client.returncode, client.stdout.splitlines(), client.stderr), (0, client_lines, ''))


def make_certificate(folder, name):
    """Signed by itself, so it is its own authority."""
    files = [f'{folder}/{name}.pem', f'{folder}/{name}-key.pem']
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={name}',
                    '-addext', f'subjectAltName=DNS:{name}', '-out', files[0], '-keyout', files[1]],
                   stdin=subprocess.DEVNULL, check=True, capture_output=True, timeout=LIMIT)
    return files


def check_tls_echo(server_program, client_program):
    """The client is served by whom it trusts, and says why it does not go on with others."""
    def client(trusted, port, status, out, complaint):
        done = run(client_program, trusted, port)
        compare('the client', (done.returncode, done.stdout), (status, out))
        if not done.stderr.startswith(complaint):
            sys.exit(f'the client: expected {complaint!r} on stderr, found {done.stderr!r}')

    with tempfile.TemporaryDirectory() as folder:
        here, other = make_certificate(folder, 'localhost'), make_certificate(folder, 'other.example')
        with serving([server_program, *here, '0']) as port:
            client(here[0], port, 0, 'Connected by TLSv1.3\nReceived: Hello World!\n', '')
        client(here[0], port, 1, '', 'tls_echo_client: nobody is there: ')
        with serving([server_program, *here, '0'], complaint='SSL handshake failed') as port:
            client(other[0], port, 1, '', 'tls_echo_client: nobody we trust knows this server: ')
        with serving([server_program, *other, '0'], complaint='SSL handshake failed') as port:
            client(other[0], port, 1, '', 'tls_echo_client: this is somebody else: ')


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


def check_get_date(program):
    done = run(program)
    compare('get_date', (done.returncode, done.stderr), (0, ''))
    if not re.fullmatch(r'Current date: \d{4}-\d\d-\d\d\n', done.stdout):
        sys.exit(f'get_date: no date: {done.stdout!r}')


def check_signal_handlers(program):
    for number in (signal.SIGINT, signal.SIGTERM):
        running = subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            compare('signal_handlers', running.stdout.readline(), 'Event loop running, press Ctrl+C to interrupt.\n')
            running.send_signal(number)
            out, err = running.communicate(timeout=LIMIT)
        finally:
            running.kill()
            running.wait()
        compare('signal_handlers', (running.returncode, out, err), (0, f'got signal {number.name}: exit\n', ''))


def check_udp_echo(server_program, client_program):
    check_echo(server_program, client_program, ['Starting UDP server'], UDP_SERVER, UDP_CLIENT)


def check_udp_echo_together(program):
    done = run(program)
    compare('udp_echo_together', (done.returncode, done.stderr, done.stdout.splitlines()),
            (0, '', ['Starting UDP server', 'Serving on 127.0.0.1:9999', UDP_CLIENT[0], *UDP_SERVER, *UDP_CLIENT[1:],
                     'The server is closed']))


def check_pages(*arguments):
    """What the README and the pages of docs/ show is what is compiled and checked: each block stands in a file, as it is."""
    pages, sources = arguments[:arguments.index('--')], arguments[arguments.index('--') + 1:]
    texts = [pathlib.Path(source).read_text() for source in sources]
    for page in pages:
        blocks = re.findall(r'```(cpp|meson)\n(.*?)```', pathlib.Path(page).read_text(), re.DOTALL)
        if not any(kind == 'cpp' for kind, _ in blocks):
            sys.exit(f'{page} shows no code')
        for kind, block in blocks:
            if not any(block in text for text in texts):
                sys.exit(f'no file contains this {kind} block of {page}:\n{block}')


def check_sweep(example, sweep, program):
    """The planted bug is found, its seed fails again by itself, and the mended twin is clean."""
    broken = run(sweep, '--quiet', program)
    found = re.search(r'^first failing seed: (\d+) \(exit status 1\)\n  .*^replay: WEIR_SIM_SEED=\1 ', broken.stdout, re.M | re.S)
    if broken.returncode != 1 or found is None:
        sys.exit(f'{example}: the sweep did not find the bug:\n{broken.stdout}{broken.stderr}')
    for _ in range(2):
        again = subprocess.run([program], env={**os.environ, 'WEIR_SIM_SEED': found.group(1)}, capture_output=True, text=True,
                               timeout=LIMIT)
        compare(f'{example} again', (again.returncode, f'seed {found.group(1)}: ' in again.stdout), (1, True))
    mended = run(sweep, '--quiet', '-n', '300', program, 'mended')
    compare(f'{example} mended', (mended.returncode, 'all well' in mended.stdout, mended.stderr), (0, True, ''))
    if example == 'sim_missing_timeout':
        compare(example, run(program, 'demanded').returncode, 0)


if __name__ == '__main__':
    example, arguments = sys.argv[1], sys.argv[2:]
    {'echo': check_echo, 'echo_together': check_echo_together, 'tls_echo': check_tls_echo, 'udp_echo': check_udp_echo,
     'udp_echo_together': check_udp_echo_together, 'signal_handlers': check_signal_handlers, 'get_date': check_get_date, 'pages': check_pages}.get(
        example, lambda *parts: (check_output if example in EXPECTED else check_sweep)(example, *parts))(*arguments)
    print(f'weir-tests: examples/{example} {os.environ.get("WEIR_BACKEND", "-")} passed=1 failed=0 skipped=0')
