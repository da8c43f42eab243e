#!/usr/bin/env python3
"""What tools/check and tools/conformance.py make of a test run: counts, skips, and the table; and how they refuse bad usage.

Usage: tools.py SOURCE_ROOT WORK_DIR
"""

import json
import pathlib
import shutil
import sys

from packaging import Cases, run

source, work = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.dont_write_bytecode = True
sys.path.insert(0, str(source / 'tools'))
import conformance  # noqa: E402
import matrix  # noqa: E402
import phases  # noqa: E402

cases = Cases('packaging/tools', 'all')

for command in (['tools/check', '--bogus'], ['tools/check', '--compiler'], ['tools/check', '--compiler=tcc'],
                ['tools/demo', '--bogus'], ['tools/bench', '--bogus'], ['tools/bench', '--only'], ['tools/bench', '--rounds=x'],
                ['tools/setup', 'everything'], ['tools/setup_windows', 'openssl'], ['tools/cross/weir-wine-run'],
                ['tools/tidy.py', '--root']):
    done = run(source / command[0], *command[1:])
    cases.check(f'{" ".join(command)}: one line and status 2', done.code == 2 and len(done.output.splitlines()) == 2, done.output)


def log_of(*tests):
    """A build directory whose last run said this; each test is (name, result, output)."""
    shutil.rmtree(work, ignore_errors=True)
    (work / 'meson-logs').mkdir(parents=True)
    lines = [json.dumps({'name': f'weir:sim / {name}', 'result': result, 'stdout': output}) for name, result, output in tests]
    (work / 'meson-logs' / 'testlog.json').write_text('\n'.join(lines) + '\n')
    return work


total, suites, skips, nameless, bad = phases.count(log_of(
    ('runtime/a.sim', 'OK', 'weir-skip: LOOP-022 wall_clock\nweir-tests: runtime/a sim passed=5 failed=0 skipped=1\n'),
    ('runtime/b.sim', 'FAIL', 'weir-tests: runtime/b sim passed=3 failed=2 skipped=0\n'),
    ('runtime/died.sim', 'FAIL', 'Segmentation fault\n'),
    ('runtime/leaked.sim', 'FAIL', 'weir-tests: runtime/leaked sim passed=4 failed=0 skipped=0\n'),
    ('net/slow.sim', 'TIMEOUT', ''),
    ('examples/plain.sim', 'OK', 'hello\n'),
    ('net/c.sim', 'OK', 'weir-skip: SOCK-001\nweir-tests: net/c sim passed=0 failed=0 skipped=1\n')))
cases.check('cases are summed; a death, a leak and a timeout are failures', total == (13, 5, 2), str(total))
cases.check('suites are told apart', suites['runtime'] == (12, 4, 1) and suites['net'] == (0, 1, 1), str(suites))
cases.check('skips are listed with their capability', ('wall_clock', 'LOOP-022', 'sim') in skips and len(skips) == 2, str(skips))
cases.check('what failed is shown again', [(name, lines[:1]) for name, lines in bad][1:3] == [
    ('runtime/died.sim', ['Segmentation fault']), ('runtime/leaked.sim', ['weir-tests: runtime/leaked sim passed=4 failed=0 skipped=0'])],
            str(bad))
cases.check('a skip without a capability is found', nameless == ['SOCK-001'], str(nameless))

tested, skipped = conformance.last_run(log_of(
    ('runtime/a.sim', 'OK',
     'weir-skip: AA-002 pidfd\nweir-statements: AA-001 AA-002 AB-001\nweir-tests: runtime/a sim passed=2 failed=0 skipped=1\n'),
    ('runtime/a.epoll', 'OK', 'weir-statements: AA-001\nweir-tests: runtime/a epoll passed=1 failed=0 skipped=0\n'),
    ('examples/a.epoll', 'OK', 'weir-tests: examples/a epoll passed=1 failed=0 skipped=0\n')))
text = '## AA - First\n\n- **AA-001** x\n- **AA-002** y\n\n## AB - Second\n\n- **AB-001** z\n'
made = conformance.table(text, tested, skipped)
for row in ('| group | title | statements | sim | epoll |', '| AA | First | 2 | 1 + 1 skipped | 1 |',
            '| AB | Second | 1 | 1 | – |', '| | **all** | **3** | **2 + 1 skipped** | **1** |', '| AA-002 | sim | pidfd |'):
    cases.check(f'the table has: {row}', row in made.splitlines(), made)

# What the matrix says of two backends, by the last run of each.
ran = {'first': {'LOOP-001', 'LOOP-002', 'WIN-007'}, 'second': {'LOOP-001'}}
matrix.GROUPS_OF_ONE = {'WIN': 'first'}
matrix.build_directory = lambda name: name
conformance.last_run = lambda build: ({build.name: ran[build.name]}, {'first': {}, 'second': {'LOOP-001': 'ipv6'}})
cases.check('a statement that no test names on one backend is found', not matrix.check_same_statements(list(ran))()[0])
ran['second'] |= {'LOOP-002'}
cases.check('skipped by name, or of one backend alone: no statement is missing', matrix.check_same_statements(list(ran))()[0])
shutil.rmtree(work, ignore_errors=True)
cases.finish()
