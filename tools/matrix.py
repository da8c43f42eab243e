"""The work of tools/matrix, which reads the arguments and installs what is missing.

Each backend has a build directory of its own, build/matrix-NAME, which is kept: a second run builds nothing anew.
"""

import collections
import pathlib
import re
import subprocess
import sys

import conformance
from check import ROOT, Check, build_all, check_tests, configure

README = ROOT / 'backends' / 'README.md'
BEGIN = '<!-- table: begin; written by tools/matrix --write -->'
END = '<!-- table: end -->'
LINUX = sys.platform.startswith('linux')

# Name -> what runs it here, or None; in the order of the table.
Way = collections.namedtuple('Way', 'words options')
BACKENDS = {
    'sim': Way('a simulated world', ['-Dloop_backend=sim', '-Dtest_backends=sim']),
    'epoll': Way('this Linux', ['-Dloop_backend=epoll', '-Dtest_backends=epoll']) if LINUX else None,
    'libevent': Way('this system, over libevent', ['-Dloop_backend=libevent', '-Dtest_backends=libevent']),
    'kqueue': Way('a translation of kqueue(2) onto Linux, a test double', ['-Dloop_backend=auto', '-Dtest_backends=kqueue'])
              if LINUX else Way('this system', ['-Dloop_backend=kqueue', '-Dtest_backends=kqueue']),
    'poll': Way('this system', ['-Dloop_backend=poll', '-Dtest_backends=poll']),
    'iocp': None,
    'io_uring': None,
}


def is_written(name):
    return (ROOT / 'backends' / name / 'meson.build').exists()


def can_run(name):
    return is_written(name) and BACKENDS[name] is not None


def list_backends():
    for name, way in BACKENDS.items():
        print(f'{name:<9} {way.words if can_run(name) else "not written yet" if not is_written(name) else "not on this system"}')


def build_directory(name):
    return f'build/matrix-{name}'


def test_backend(check, name):
    """True when all is green."""
    build, way = build_directory(name), BACKENDS[name]
    return (check.phase(f'{name}: configure', configure(build, ['--werror', *way.options], {}))
            and check.phase(f'{name}: build', build_all(build))
            # Packaging is the same with every backend; tools/check tests it.
            and check.phase(f'{name}: tests', check_tests(check, build, ['--no-suite', 'packaging'])))


def capabilities(name):
    """What the backend says of itself: name -> bool. Asked of a test program, for which no tool has to be built."""
    program = ROOT / build_directory(name) / 'tests' / f'runtime_version_{name}_test'
    said = subprocess.run([program, '-tc=every capability*'], capture_output=True, text=True, check=True).stdout
    return {one: answer == 'yes' for one, answer in re.findall(r'^weir-capability: (\w+) (yes|no)$', said, re.MULTILINE)}


def table(names):
    """Capabilities by backend, and how many statements of tests/conformance.md tests decide there."""
    statements = conformance.STATEMENT.findall(conformance.LIST.read_text())
    known = {name: capabilities(name) for name in names}
    rows = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for one in next(iter(known.values())):
        rows.append(f"| `{one}` | {' | '.join('yes' if known[name][one] else '–' for name in names)} |")
    decided, skipped = [], []
    for name in names:
        tested, skips = conformance.last_run(ROOT / build_directory(name))
        skipped.append(len(skips[name]))
        decided.append(len(tested[name] & set(statements)) - skipped[-1])
    rows.append(f"| statements that tests decide | {' | '.join(map(str, decided))} |")
    rows.append(f"| skipped, for want of a capability | {' | '.join(map(str, skipped))} |")
    return '\n'.join(rows)


def check_table(names, write):
    def work():
        text = README.read_text()
        start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
        wanted = f'\n{table(names)}\n'
        if write:
            README.write_text(text[:start] + wanted + text[end:])
        elif text[start:end] != wanted:
            print('the table of backends/README.md is old: run tools/matrix --write')
            return False, ''
        return True, f'{len(names)} backends'
    return work


def main(list_only, write, names):
    unknown = [name for name in names if name not in BACKENDS]
    if unknown:
        print(f"tools/matrix: unknown backend '{unknown[0]}'; there are {', '.join(BACKENDS)}", file=sys.stderr)
        return 2
    if list_only:
        list_backends()
        return 0
    check = Check()
    chosen = [name for name in names or BACKENDS if can_run(name)]
    green = True
    for name in names or BACKENDS:
        if name in chosen:
            green = test_backend(check, name) and green
        else:
            check.left_out(name, 'it cannot run here: see tools/matrix --list')
    if not names and green:
        check.phase('table of backends/README.md', check_table(chosen, write))
    return check.finish()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1] == 'yes', sys.argv[2] == 'yes', sys.argv[3:]))
