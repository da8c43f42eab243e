"""The work of tools/matrix, which reads the arguments and installs what is missing.

Each backend has a build directory of its own, build/matrix-NAME, which is kept: a second run builds nothing anew.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import typing

import conformance
from check import ROOT, Check, build_all, check_tests, configure, run

README = ROOT / 'backends' / 'README.md'
BEGIN = '<!-- table: begin; written by tools/matrix --write -->'
END = '<!-- table: end -->'
LINUX = sys.platform.startswith('linux')
BSD = sys.platform.startswith(('darwin', 'freebsd', 'netbsd', 'openbsd', 'dragonfly'))
POSIX = os.name == 'posix'
WINDOWS = os.name == 'nt'
# tools/setup knows on Debian alone how to come by mingw and Wine, and Wine runs what the processor can.
WINE = LINUX and platform.machine() == 'x86_64' and shutil.which('apt-get') is not None


class Way(typing.NamedTuple):
    """One way to run a backend: whether it can be gone here, in words, how the build is configured, and what tools/setup is told first."""
    can: bool
    words: str
    options: list
    setup: list = []


# In the order of the table. The first way that can be gone is taken.
BACKENDS = {
    'sim': [Way(True, 'a simulated world', ['-Dloop_backend=sim'])],
    'epoll': [Way(LINUX, 'this Linux', ['-Dloop_backend=epoll'])],
    'libevent': [Way(POSIX, 'this system, over libevent', ['-Dloop_backend=libevent'])],
    'kqueue': [Way(BSD, 'this system', ['-Dloop_backend=kqueue']),
               Way(LINUX, 'a translation of kqueue(2) onto Linux, a test double', ['-Dloop_backend=auto'])],
    'poll': [Way(POSIX, 'this system', ['-Dloop_backend=poll'])],
    'iocp': [Way(WINDOWS, 'this Windows', ['-Dloop_backend=iocp']),
             Way(WINE, 'Wine, cross built; installs what tools/setup --windows names', [
                 '--cross-file', 'tools/cross/x86_64-w64-mingw32.ini', '--cross-file', 'build/mingw-paths.ini',
                 '-Dloop_backend=iocp'], ['--windows'])],
    'io_uring': [],
}
# Where it has not been tried, a compiler may warn of what it likes.
STRICT = ['--werror'] if LINUX else []


def is_written(name):
    return (ROOT / 'backends' / name / 'meson.build').exists()


def way_of(name):
    return next((way for way in BACKENDS[name] if way.can and is_written(name)), None)


def list_backends():
    for name in BACKENDS:
        way = way_of(name)
        print(f'{name:<9} {way.words if way else "not on this system" if is_written(name) else "not written yet"}')


def build_directory(name):
    return f'build/matrix-{name}'


def test_backend(check, name):
    """True when all is green."""
    build, way = build_directory(name), way_of(name)
    if way.setup and not check.phase(f'{name}: setup', lambda: (run(ROOT / 'tools' / 'setup', *way.setup)[0], '')):
        return False
    options = [*STRICT, *way.options, f'-Dtest_backends={name}']
    return (check.phase(f'{name}: configure', configure(build, options, {}))
            and check.phase(f'{name}: build', build_all(build))
            # Packaging is the same with every backend; tools/check tests it.
            and check.phase(f'{name}: tests', check_tests(check, build, ['--no-suite', 'packaging'])))


def capabilities(name):
    """What the backend says of itself: name -> bool. Asked of a test program, for which no tool has to be built."""
    program = next(conformance.program_of(test) for test in conformance.last_tests(ROOT / build_directory(name))
                   if test['name'].endswith(f'runtime/version.{name}'))
    said = subprocess.run([*program, '-tc=every capability*'], capture_output=True, text=True, check=True).stdout
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
    chosen = [name for name in names or BACKENDS if way_of(name)]
    for name in names:
        if name not in chosen:
            print(f"tools/matrix: '{name}' cannot run here: see tools/matrix --list", file=sys.stderr)
            return 2
    check = Check()
    green = True
    for name in names or BACKENDS:
        if name in chosen:
            green = test_backend(check, name) and green
        else:
            check.left_out(name, 'it cannot run here: see tools/matrix --list')
    if not names:
        table_phase = 'table of backends/README.md'
        if any(is_written(name) and name not in chosen for name in BACKENDS):
            check.left_out(table_phase, 'not every backend can run here')
        elif green:
            check.phase(table_phase, check_table(chosen, write))
    return check.finish()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1] == 'yes', sys.argv[2] == 'yes', sys.argv[3:]))
