"""Runs every scenario under asyncio and under weir and compares the traces line by line.

Usage: parity.py PROGRAM     the program of one backend, made from trace.cpp
A scenario that only one side has is a failure. Where chance follows a seed, the program runs with several.
"""

import difflib
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SUITE, BACKEND = os.environ['WEIR_TEST_SUITE'], os.environ['WEIR_BACKEND']
SEEDS = range(1, int(os.environ.get('WEIR_PARITY_SEEDS', 20)) + 1) if BACKEND == 'sim' else (None,)
LIMIT = 60  # seconds until a run is given up


def traces(command, environment=()):
    """Runs the command: the lines of each scenario, by its name."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors='replace', timeout=LIMIT, env={**os.environ, **dict(environment)})
    _, *parts = re.split(r'^== (.*)\n', done.stdout, flags=re.MULTILINE)
    found = {name: lines.splitlines() for name, lines in zip(parts[::2], parts[1::2])}
    if done.returncode != 0 or not found:
        sys.exit(f'{command} ended with {done.returncode}:\n{done.stdout[-3000:]}')
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
        found = traces([program], [] if seed is None else [('WEIR_SIM_SEED', str(seed))])
        names.update(dict.fromkeys([*expected, *found]))
        for name in names:
            if name not in failed and not compare(name, expected.get(name), found.get(name), f' (seed {seed})' if seed else ''):
                failed.add(name)
    print(f'weir-tests: {SUITE} {BACKEND} passed={len(names) - len(failed)} failed={len(failed)} skipped=0')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
