"""The work of tools/matrix, which reads the arguments and installs what is missing.

The build directories are kept, and a second run builds nothing anew: build/check for the simulator and the host's own backend, which
tools/check shares, and build/matrix-NAME for each other backend.
"""

import os
import platform
import re
import shutil
import sys
import typing

import conformance
from phases import CLANG, ROOT, Check, build_all, check_tests, compiler_env, configure, run

README = ROOT / 'backends' / 'README.md'
BEGIN = '<!-- table: begin; written by tools/matrix --write -->'
END = '<!-- table: end -->'
LINUX = sys.platform.startswith('linux')
BSD = sys.platform.startswith(('darwin', 'freebsd', 'netbsd', 'openbsd', 'dragonfly'))
POSIX = os.name == 'posix'
WINDOWS = os.name == 'nt'
# tools/setup knows on Debian alone how to come by mingw and Wine, and Wine runs what the processor can.
WINE = LINUX and platform.machine() == 'x86_64' and shutil.which('apt-get') is not None

# Some of the backends are built by it where it is at hand, so that all suites have been compiled by both; systems with kqueue have it anyway.
OTHER_COMPILER = 'clang' if LINUX and shutil.which(CLANG) else 'gcc'


class Way(typing.NamedTuple):
    """One way to run a backend: whether it can be gone here, in words, how the build is configured, what tools/setup is told first, and
    which compiler builds."""
    can: bool
    words: str
    options: list
    setup: list = []
    compiler: str = 'gcc'


# In the order of the table. The first way that can be gone is taken.
BACKENDS = {
    'sim': [Way(True, 'a simulated world', [])],
    'epoll': [Way(LINUX, 'this Linux', [])],
    'libevent': [Way(POSIX, 'this system, over libevent', ['-Dloop_backend=libevent'])],
    'kqueue': [Way(BSD, 'this system', ['-Dloop_backend=kqueue']),
               Way(LINUX, 'a translation of kqueue(2) onto Linux, a test double', ['-Dloop_backend=auto', '-Dtools=false'],
                   compiler=OTHER_COMPILER)],
    'poll': [Way(POSIX, 'this system', ['-Dloop_backend=poll'], compiler=OTHER_COMPILER)],
    'iocp': [Way(WINDOWS, 'this Windows', ['-Dloop_backend=iocp']),
             Way(WINE, 'Wine, cross built; installs what tools/setup --windows names', [
                 '--cross-file', 'tools/cross/x86_64-w64-mingw32.ini', '--cross-file', 'build/mingw-paths.ini',
                 '-Dloop_backend=iocp'], ['--windows'])],
    'io_uring': [],
}
# Where it has not been tried, a compiler may warn of what it likes.
STRICT = ['--werror'] if LINUX else []
NATIVE = 'build/check'
# Lines for a debugger are a good part of the time, most of all of the linker for Windows; the sanitizers have them.
WITHOUT_DEBUG = '-Ddebug=false'
NATIVE_OPTIONS = [*STRICT, WITHOUT_DEBUG, '-Dtest_backends=auto']
# Both are built into it; as Meson's option `auto` has it.
NATIVE_BACKENDS = ['sim', 'epoll' if LINUX else 'kqueue' if BSD else 'iocp' if WINDOWS else 'poll']
# It is the same with every backend; tools/check tests it.
WITHOUT_PACKAGING = ['--no-suite', 'packaging']
# Groups of statements about one backend alone.
GROUPS_OF_ONE = {'WIN': 'iocp'}


def is_written(name):
    return (ROOT / 'backends' / name / 'meson.build').exists()


def way_of(name):
    return next((way for way in BACKENDS[name] if way.can and is_written(name)), None)


def list_backends():
    for name in BACKENDS:
        way = way_of(name)
        print(f'{name:<9} {way.words if way else "not on this system" if is_written(name) else "not written yet"}')


def build_directory(name):
    return NATIVE if name in NATIVE_BACKENDS else f'build/matrix-{name}'


def test_native(check):
    """True when all is green."""
    label = ' and '.join(NATIVE_BACKENDS)
    return (check.phase(f'{label}: configure', configure(NATIVE, NATIVE_OPTIONS, {}))
            and check.phase(f'{label}: build', build_all(NATIVE))
            and check.phase(f'{label}: tests', check_tests(check, NATIVE, WITHOUT_PACKAGING)))


def test_other(check, name):
    """True when all is green."""
    build, way = build_directory(name), way_of(name)
    options = [*STRICT, WITHOUT_DEBUG, *way.options, f'-Dtest_backends={name}']
    return (check.phase(f'{name}: configure', configure(build, options, compiler_env(way.compiler)))
            and check.phase(f'{name}: build', build_all(build))
            and check.phase(f'{name}: tests', check_tests(check, build, WITHOUT_PACKAGING)))


def why_not(name):
    """Why the backend cannot run here, or nothing. Installs what it needs."""
    way = way_of(name)
    if not way:
        return 'it cannot run here: see tools/matrix --list'
    if way.setup and not run(ROOT / 'tools' / 'setup', *way.setup)[0]:
        return f'tools/setup {" ".join(way.setup)} failed: see above'
    return None


def test_others(check, names, required=False):
    """Those of the names that are not in the native build: (true when all that ran are green, those that ran). What cannot run here is left
    out by name, and is a failure when it is required."""
    green, ran = True, []
    for name in names:
        if name in NATIVE_BACKENDS or not is_written(name):
            continue
        reason = why_not(name)
        if not reason:
            ran.append(name)
            green = test_other(check, name) and green
        elif required:
            green = check.phase(name, lambda why=reason: (False, why))
        else:
            check.left_out(name, reason)
    return green, ran


def capabilities(name):
    """What the backend says of itself in the last run: name -> bool. A test program tells, for which no tool has to be built."""
    said = next(test['stdout'] for test in conformance.last_tests(ROOT / build_directory(name))
                if test['name'].endswith(f'runtime/version.{name}'))
    return {one: answer == 'yes' for one, answer in re.findall(r'^weir-capability: (\w+) (yes|no)$', said, re.MULTILINE)}


class Statements(typing.NamedTuple):
    """Of one backend, by its last run: the statements of tests/conformance.md that a test names, and those of them that were skipped."""
    named: set
    skipped: set


def statements_of(names):
    known = set(conformance.STATEMENT.findall(conformance.LIST.read_text()))
    found = {}
    for name in names:
        tested, skips = conformance.last_run(ROOT / build_directory(name))
        found[name] = Statements(tested[name] & known, set(skips[name]) & known)
    return found


def check_same_statements(names):
    """A statement that one backend decides must be decided on each, or be skipped there by name."""
    def work():
        found = statements_of(names)
        every = set().union(*(one.named for one in found.values()))
        well = True
        for name, one in found.items():
            own = {statement for statement in every if GROUPS_OF_ONE.get(statement.split('-')[0], name) == name}
            missing = sorted(own - one.named)
            well = well and not missing
            print(f'  {name:<9} {len(one.named - one.skipped)} decided, {len(one.skipped)} skipped, of {len(own)}'
                  f'{"; without a test: " + " ".join(missing) if missing else ""}')
        return well, f'{len(every)} statements'
    return work


def table(names):
    """Capabilities by backend, and how many statements of tests/conformance.md tests decide there."""
    known = {name: capabilities(name) for name in names}
    rows = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for one in next(iter(known.values())):
        rows.append(f"| `{one}` | {' | '.join('yes' if known[name][one] else '–' for name in names)} |")
    found = statements_of(names)
    rows.append(f"| statements that tests decide | {' | '.join(str(len(found[name].named - found[name].skipped)) for name in names)} |")
    rows.append(f"| skipped, for want of a capability | {' | '.join(str(len(found[name].skipped)) for name in names)} |")
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


def compare(check, green, others, write=False):
    """What can be said when the native backends and these others have run."""
    same, in_readme = 'same statements everywhere', 'table of backends/README.md'
    names = [name for name in BACKENDS if name in NATIVE_BACKENDS or name in others]
    if not green:
        check.left_out(same, 'it needs a green run')
        check.left_out(in_readme, 'it needs a green run')
        return
    check.phase(same, check_same_statements(names))
    if any(is_written(name) and name not in names for name in BACKENDS):
        check.left_out(in_readme, 'not every backend ran')
    elif not capabilities(NATIVE_BACKENDS[-1])['ipv6']:
        check.left_out(in_readme, 'this machine has no IPv6, which the table is about too')
    else:
        check.phase(in_readme, check_table(names, write))


def main(list_only, write, names):
    unknown = [name for name in names if name not in BACKENDS]
    if unknown:
        print(f"tools/matrix: unknown backend '{unknown[0]}'; there are {', '.join(BACKENDS)}", file=sys.stderr)
        return 2
    if list_only:
        list_backends()
        return 0
    for name in names:
        if not way_of(name):
            print(f"tools/matrix: '{name}' cannot run here: see tools/matrix --list", file=sys.stderr)
            return 2
    check = Check()
    green = True
    if any(name in NATIVE_BACKENDS for name in names or BACKENDS):
        green = test_native(check)
    others_green, others = test_others(check, names or BACKENDS, required=bool(names))
    if not names:
        compare(check, green and others_green, others, write)
    return check.finish()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1] == 'yes', sys.argv[2] == 'yes', sys.argv[3:]))
