"""Runs every scenario under asyncio and under weir and compares the traces line by line.

Usage: parity.py PROGRAM     the program of one backend, made from trace.cpp
A scenario that only one side has is a failure. Where chance follows a seed, the program runs with several.
"""

import difflib
import os
import pathlib
import re
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SUITE, BACKEND = os.environ['WEIR_TEST_SUITE'], os.environ['WEIR_BACKEND']
SEEDS = range(1, int(os.environ.get('WEIR_PARITY_SEEDS', 20)) + 1) if BACKEND == 'sim' else (None,)
WRAPPER = shlex.split(os.environ.get('MESON_EXE_WRAPPER', ''))  # of programs for another system
LIMIT = 30  # seconds until a run is given up


def run(command, environment):
    """(the lines of each scenario by its name, what the end was like when it was not a good one)."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors='replace', env={**os.environ, **environment})
    try:
        output, _ = process.communicate(timeout=LIMIT)
        end = f'<ended with {process.returncode}>' if process.returncode else None
    except subprocess.TimeoutExpired:
        process.kill()
        output, end = process.communicate()[0], f'<did not end in {LIMIT} s>'
    _, *parts = re.split(r'^== (.*)\n', output, flags=re.MULTILINE)
    return {name: lines.splitlines() for name, lines in zip(parts[::2], parts[1::2])}, end


def traces(command, environment=None):
    """The lines of each scenario by its name. One that ends the program says so, and the others run without it."""
    names = subprocess.run([*command, '--list'], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
                           timeout=LIMIT).stdout.split()
    found = {}
    while left := [name for name in names if name not in found]:
        some, end = run([*command, *left], environment or {})
        if not some:
            sys.exit(f'{command} ran no scenario: {end}')
        if end:
            some[[*some][-1]].append(end)
        found.update(some)
    return found


def compare(name, expected, found, where):
    """Prints how they differ; true when they do not."""
    if expected is None or found is None:
        print(f'{name}: only {"weir" if expected is None else "Python"} has it')
        return False
    if expected == found:
        return True
    print(f'{name}{where}:')
    print('\n'.join(difflib.unified_diff(expected, found, 'asyncio', 'weir', n=50, lineterm='')))
    return False


def main(program):
    expected = traces([sys.executable, HERE / 'trace.py'])
    failed, names = set(), {}
    for seed in SEEDS:
        found = traces([*WRAPPER, program], {} if seed is None else {'WEIR_SIM_SEED': str(seed)})
        names.update(dict.fromkeys([*expected, *found]))
        for name in names:
            if name not in failed and not compare(name, expected.get(name), found.get(name), f' (seed {seed})' if seed else ''):
                failed.add(name)
    print(f'weir-tests: {SUITE} {BACKEND} passed={len(names) - len(failed)} failed={len(failed)} skipped=0')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
