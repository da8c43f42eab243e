"""How one thing is measured: a server under load, a row of the micro program, both by the clock or by callgrind."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile

LIMIT = 600  # seconds until something hangs
SERVER_CORE, CLIENT_CORE = 0, 1


def pinned(core):
    """For preexec_fn. None leaves the process where the system wants it; Ctrl-C is for tools/bench, which ends its children."""
    def prepare():
        if core is not None:
            os.sched_setaffinity(0, {core})
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return prepare


def cpu_of(process):
    tasks = pathlib.Path(f'/proc/{process}/task').glob('*/schedstat')
    return sum(int(task.read_text().split()[0]) for task in tasks)


class Server:
    """A program that says in its first line where it listens, and serves until the end of the `with`."""

    def __init__(self, command, under=(), core=SERVER_CORE, env=None):
        self.command = [*under, *map(str, command)]
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, preexec_fn=pinned(core), env={**os.environ, **(env or {})})
        line = self.process.stdout.readline()
        found = re.search(r':(\d+)\s*$', line)
        if not found:
            self.process.kill()
            raise RuntimeError(f'{" ".join(self.command)} did not say where it listens: {line!r} {self.process.stderr.read()}')
        self.port = found.group(1)

    def cpu(self):
        """Nanoseconds on a core so far, of all threads."""
        return cpu_of(self.process.pid)

    def stop(self):
        """Ends it; gives what it said on stderr."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.communicate(timeout=LIMIT)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def load(program, port, *options, core=CLIENT_CORE):
    done = subprocess.run([program, port, *map(str, options)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT, preexec_fn=pinned(core))
    if done.returncode != 0:
        raise RuntimeError(f'{program} {port} {options}: {done.stderr.strip()}')
    return json.loads(done.stdout)


def echo(program, command, cell):
    """One run: what the load generator saw, and the server's nanoseconds of CPU per request."""
    with Server(command) as server:
        load(program, server.port, *cell.warm())
        before = server.cpu()
        result = load(program, server.port, *cell.options())
        result['cpu'] = (server.cpu() - before) / result['requests']
    return result


def micro(program, name, seconds, core):
    """Nanoseconds per operation and allocations per operation of one row."""
    done = subprocess.run([program, f'--benchmark_filter=^{name}$', '--benchmark_format=json', f'--benchmark_min_time={seconds}'],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=True,
                          preexec_fn=pinned(core))
    row = json.loads(done.stdout)['benchmarks'][0]
    return {'ns': row['real_time'], 'allocations': row['allocations']}


def micro_names(program):
    done = subprocess.run([program, '--benchmark_list_tests'], capture_output=True, text=True, check=True)
    return done.stdout.split()


VALGRIND = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null']


def collected(text):
    found = re.search(r'Collected : (\d+)', text)
    if not found:
        raise RuntimeError('callgrind counted nothing: ' + text[-500:])
    return int(found.group(1))


def echo_instructions(program, command, counted):
    """User instructions per request, exact up to how requests and polls fall together (1%)."""
    def count(number):
        with Server(command, VALGRIND) as server:
            # On the server's core, the client lets it find about as many requests at each poll in every run.
            load(program, server.port, '--connections', counted.connections, '--size', counted.size, '--count', number,
                 *counted.work.split(), core=SERVER_CORE)
            return collected(server.stop())
    return (count(2 * counted.requests) - count(counted.requests)) / counted.requests


def micro_instructions(program, name, operations=20000, batches=4):
    """User instructions per operation."""
    def count(number):
        done = subprocess.run([*VALGRIND, '--collect-atstart=no', program, '--repeat', name, str(number), str(operations)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT, check=True)
        return collected(done.stderr)
    return (count(2 * batches) - count(batches)) / (batches * operations)


def idle_bytes(program, heap_module, command, connections=10000):
    """Heap bytes per connection: (never used, after one echo)."""
    def count(echoes):
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes(8))
            file.flush()
            with Server(command, env={'LD_PRELOAD': str(heap_module), 'WEIR_BENCH_HEAP': file.name}) as server:
                def in_use():
                    file.seek(0)
                    return int.from_bytes(file.read(8), 'little', signed=True)
                # What is allocated once, for the first connections or the first bytes, belongs to none of them.
                load(program, server.port, '--connections', 8, '--size', 64, '--count', 80)
                before = in_use()
                with idle_connections(program, server.port, connections, echoes):
                    while len(os.listdir(f'/proc/{server.process.pid}/fd')) < connections:
                        os.sched_yield()
                    return (in_use() - before) / connections
    return count(0), count(1)


@contextlib.contextmanager
def idle_connections(program, port, connections, echoes):
    """Open connections that rest until the end of the `with`."""
    process = subprocess.Popen([program, port, '--connections', str(connections), '--idle', '--echoes', str(echoes), '--size', '64'],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=pinned(CLIENT_CORE))
    try:
        if not process.stdout.readline():
            raise RuntimeError(f'the load generator ended: {process.stderr.read()}')
        yield
    finally:
        process.kill()
        process.communicate()
