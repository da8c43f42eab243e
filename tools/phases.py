"""What tools/check and tools/matrix share: a run of phases, each visible, and the phases that configure, build and test.

A phase that fails does not keep the next from running, unless the next needs what it makes.
"""

import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import conformance

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOBS = os.cpu_count() or 2
CLANG = 'clang++-19'
# Windows starts no scripts, and as one some install Meson.
MESON = ['meson'] if os.name != 'nt' or (shutil.which('meson') or '').lower().endswith('.exe') else [
    sys.executable, '-m', 'mesonbuild.mesonmain']
# By default ccache leaves alone what is compiled with a precompiled header.
CACHE = {'CCACHE_SLOPPINESS': 'pch_defines,time_macros'}
Counts = collections.namedtuple('Counts', 'passed failed skipped')
CLOSING = re.compile(r'^weir-tests: (\S+) (\S+) passed=(\d+) failed=(\d+) skipped=(\d+)$', re.MULTILINE)
SKIP = re.compile(r'^weir-skip:[ ]*(\S*)[ ]*(.*)$', re.MULTILINE)


class Check:
    def __init__(self):
        self.rows = []  # (phase, 'ok' or 'FAILED' or 'left out', note, seconds)
        self.failed = []  # (phase, test, its last lines)
        self.counts = Counts(0, 0, 0)

    def phase(self, name, work):
        """Runs `work`, which returns (true if it went well, a note)."""
        print(f'\n== {name}', flush=True)
        started = time.monotonic()
        well, note = work()
        seconds = time.monotonic() - started
        print(f'== {name}: {"ok" if well else "FAILED"}{", " + note if note else ""} ({seconds:.0f} s)', flush=True)
        self.rows.append((name, 'ok' if well else 'FAILED', note, seconds))
        return well

    def left_out(self, name, why):
        self.rows.append((name, 'left out', why, 0.0))

    def add(self, counts):
        self.counts = Counts(*(a + b for a, b in zip(self.counts, counts)))

    def finish(self):
        """Says what failed once more at the end, where it is looked for: whole logs are long."""
        for phase, test, lines in self.failed:
            print(f'\n== {phase}: failed: {test}\n' + '\n'.join('  ' + line for line in lines))
        print('\n== summary')
        for name, state, note, seconds in self.rows:
            print(f'  {name:<28} {state:<9} {seconds:5.0f} s  {note}')
        print()
        bad = any(state == 'FAILED' for _, state, _, _ in self.rows)
        left_out = ', '.join(name for name, state, _, _ in self.rows if state == 'left out')
        print(f'check: {"FAILED" if bad else "green"}{f" (left out: {left_out})" if left_out else ""}')
        print(f'tests: {self.counts.passed} passed, {self.counts.failed} failed, {self.counts.skipped} skipped', flush=True)
        return 1 if bad or self.counts.failed else 0


def run(*command, env=None, quiet=False):
    """Runs with the output visible; quiet: returned, and shown only by the caller."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdin=subprocess.DEVNULL, text=True, errors='replace',
                          stdout=subprocess.PIPE if quiet else None, stderr=subprocess.STDOUT if quiet else None,
                          env={**os.environ, **CACHE, **(env or {})})
    return done.returncode == 0, done.stdout or ''


def compiler_env(compiler):
    if compiler == 'gcc':
        return {}
    return {'CXX': f'ccache {CLANG}' if shutil.which('ccache') else CLANG}


def configure(build, options, env):
    """A build directory is kept; one that cannot be configured any more is made anew."""
    def work():
        command = [*MESON, 'setup', build, *options]
        if (ROOT / build / 'meson-private' / 'coredata.dat').exists():
            well, output = run(*command, '--reconfigure', quiet=True, env=env)
            if well:
                print(output.rstrip().splitlines()[-1])
                return True, 'kept ' + build
        shutil.rmtree(ROOT / build, ignore_errors=True)
        return run(*command, env=env)[0], build
    return work


def build_all(build):
    return lambda: (run('ninja', '-C', build, '-j', JOBS)[0], '')


def build_suite(build, suite):
    """Only the programs of one of Meson's suites."""
    def work():
        well, output = run(*MESON, 'introspect', '--tests', build, quiet=True)
        if not well:
            print(output)
            return False, ''
        programs = {os.path.relpath(test['cmd'][0], ROOT / build) for test in json.loads(output)
                    if any(one.endswith(':' + suite) for one in test['suite'])}
        return run('ninja', '-C', build, '-j', JOBS, *sorted(programs))[0], f'{len(programs)} programs'
    return work


TAIL = 25


def count(build):
    """Sums what the test programs say in their closing lines. One that died without it counts as one failure."""
    total, skips, suites = Counts(0, 0, 0), [], collections.defaultdict(lambda: Counts(0, 0, 0))
    nameless, bad = [], []
    for test in conformance.last_tests(ROOT / build):
        output = test['stdout'] + '\n' + test['stderr']
        closings = CLOSING.findall(output)
        well = test['result'] in ('OK', 'EXPECTEDFAIL')
        if not well:
            bad.append((test['name'].split(' / ')[-1], output.rstrip().splitlines()[-TAIL:]))
        said = [Counts(*map(int, closing[2:])) for closing in closings]
        if not said:
            said = [Counts(1, 0, 0) if well else Counts(0, 1, 0)]
        elif not well and not any(one.failed for one in said):
            said.append(Counts(0, 1, 0))
        suite = test['name'].split(' / ')[-1].split('/')[0]
        for one in said:
            total = Counts(*(a + b for a, b in zip(total, one)))
            suites[suite] = Counts(*(a + b for a, b in zip(suites[suite], one)))
        backend = closings[0][1] if closings else ''
        for name, capability in SKIP.findall(output):
            skips.append((capability.strip(), name, backend))
            if not capability.strip():
                nameless.append(name)
    return total, suites, sorted(skips), nameless, bad


def check_tests(check, build, arguments, env=None):
    def work():
        log = ROOT / build / 'meson-logs' / 'testlog.json'
        log.unlink(missing_ok=True)
        well, _ = run(*MESON, 'test', '-C', build, '--no-rebuild', '--num-processes', JOBS, '--print-errorlogs', *arguments,
                      env=env)
        if not log.exists():
            return False, 'no test ran'
        total, suites, skips, nameless, bad = count(build)
        check.add(total)
        check.failed += [(build, *one) for one in bad]
        if skips:
            print(f'\nskipped, by missing capability ({len(skips)}):')
            for capability, name, backend in skips:
                print(f'  {capability or "NO CAPABILITY NAMED"}: {name} ({backend})')
        for suite, (passed, failed, skipped) in sorted(suites.items()):
            print(f'  {suite:<12} {passed} passed, {failed} failed, {skipped} skipped')
        if nameless:
            return False, f'{len(nameless)} skips without a capability'
        if len(skips) != total.skipped:
            return False, f'{total.skipped} skips counted, {len(skips)} printed'
        return well and total.failed == 0, f'{total.passed} cases passed, {total.failed} failed, {total.skipped} skipped'
    return work
