#!/usr/bin/env python3
"""Runs a benchmark program once, small: does it work, and does weir allocate where it must not?

Usage: smoke.py micro PROGRAM | smoke.py echo|churn|udp LOAD SERVER... | smoke.py tls LOAD TLS_CERTIFICATE SERVER... | smoke.py files WEIR

Of TLS: the first program makes a certificate with its key, the file PEM in the server's command line.
"""

import subprocess
import sys
import tempfile

import cells
import files
import measure

SKIPPED = 77  # as meson understands it
# Spawning takes a frame, cancelling the exception that ends the task, a child what it is told; and what the consumer's
# delay decides.
MAY_ALLOCATE = ('task_spawn/', 'task_cancel/', 'xthread_post/', 'proc_spawn')


def smoke_micro(program):
    bad = []
    for name in measure.micro_names(program):
        count = 2 if name.startswith('proc_spawn') else 200 if name.startswith('xthread_rtt') else 2000
        done = subprocess.run([program, '--repeat', name, '1', str(count)], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            bad.append(f'{name}: exit status {done.returncode}: {done.stderr.strip()}')
        if '/weir' in name and not name.startswith(MAY_ALLOCATE):
            allocations = measure.micro(program, name, 0.001, None)['allocations']
            if allocations > 0.0005:
                bad.append(f'{name}: {allocations} allocations an operation')
    return bad


def smoke_load(program, server, *options):
    with measure.Server(server, core=None) as running:
        result = measure.load(program, running.port, '--connections', 8, '--count', 400, *options, core=None)
    return [] if result['requests'] == 400 else [f'{result}']


def smoke_echo(program, *server):
    return smoke_load(program, server, '--size', 100000, '--depth', 4)


def smoke_churn(program, *server):
    return smoke_load(program, server, '--size', 64, '--churn')


def smoke_udp(program, *server):
    return smoke_load(program, server, '--size', 1024, '--udp')


def smoke_tls(program, make_certificate, *server):
    with tempfile.NamedTemporaryFile() as pem:
        subprocess.run([make_certificate, pem.name], check=True)
        command = [pem.name if argument == 'PEM' else argument for argument in server]
        return [bad for work in (('--tls', '--size', 1024), ('--tls', '--size', 100000, '--depth', 4),
                                 ('--tls-full', '--size', 64), ('--tls-resumed', '--size', 64))
                for bad in smoke_load(program, command, *work)]


def smoke_files(weir):
    if files.missing():
        print('not here:', ', '.join(files.missing()))
        sys.exit(SKIPPED)
    cell = cells.FileCell('smoke', connections=4, size=64 * 1024, seconds=1)
    return [name for name in cell.servers if files.measure_files(name, weir, cell, (None, None))['requests'] == 0]


SMOKES = {'micro': smoke_micro, 'echo': smoke_echo, 'churn': smoke_churn, 'udp': smoke_udp, 'tls': smoke_tls, 'files': smoke_files}

if __name__ == '__main__':
    problems = SMOKES[sys.argv[1]](*sys.argv[2:])
    print('\n'.join(problems) or 'all well')
    sys.exit(1 if problems else 0)
