"""The work of tools/check, which reads the arguments and installs what is missing.

Runs the phases one after another, each visible; ends with a table and one line of counts. A phase that fails does not keep
the next from running, unless the next needs what it makes.
"""

import collections
import concurrent.futures
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
        print(f'check: {"FAILED" if bad else "green"}')
        print(f'tests: {self.counts.passed} passed, {self.counts.failed} failed, {self.counts.skipped} skipped', flush=True)
        return 1 if bad or self.counts.failed else 0


def run(*command, env=None, quiet=False):
    """Runs with the output visible; quiet: returned, and shown only by the caller."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdin=subprocess.DEVNULL, text=True, errors='replace',
                          stdout=subprocess.PIPE if quiet else None, stderr=subprocess.STDOUT if quiet else None,
                          env={**os.environ, **(env or {})})
    return done.returncode == 0, done.stdout or ''


def git(*arguments):
    well, output = run('git', *arguments, quiet=True)
    return output.splitlines() if well else None


def cpp_files():
    names = git('ls-files', '-co', '--exclude-standard', '*.cpp', '*.hpp') or []
    return [name for name in sorted(set(names)) if not name.startswith('tests/packaging/tidy_canary/') and (ROOT / name).exists()]


def check_format():
    """Prints the first place of each file that is not as clang-format would have it."""
    names, bad = cpp_files(), {}
    for start in range(0, len(names), 40):
        well, output = run('clang-format-19', '--dry-run', '-Werror', *names[start:start + 40], quiet=True)
        for place in re.findall(r'^(\S+?:\d+):\d+: error', output, re.MULTILINE):
            bad.setdefault(place.split(':')[0], place)
        if not well and not bad:
            print(output)
            return False, 'clang-format-19 failed'
    for place in bad.values():
        print(f'  {place}')
    if bad:
        print(f'  to mend: clang-format-19 -i {" ".join(bad)}')
    return not bad, f'{len(bad)} of {len(names)} files differ' if bad else f'{len(names)} files'


def check_tidy():
    return run(sys.executable, ROOT / 'tools' / 'tidy.py')[0], ''


def check_conformance(build):
    return lambda: (run(sys.executable, ROOT / 'tools' / 'conformance.py', '--build', build, '--check')[0], '')


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


HASH_SEEDS = range(1, 41)


def check_hashes(build, compiler):
    """A seed means the same run with either compiler: the mixed workload of the simulator, built by the other one as well."""
    other_compiler = 'gcc' if compiler == 'clang' else 'clang'
    other = f'build/check-hash-{other_compiler}'
    target = 'tests/sim_mixed_sim_test'

    def hashes(where):
        found = []
        for seed in HASH_SEEDS:
            well, output = run(ROOT / where / target, '-tc=*one seed*', env={'WEIR_SIM_SEED': str(seed)}, quiet=True)
            found += re.findall(r'^seed \d+: hash [0-9a-f]+$', output, re.MULTILINE) if well else [f'seed {seed} fails in {where}']
        return found

    def work():
        env = compiler_env(other_compiler)
        options = ['-Dloop_backend=sim', '-Dtest_backends=sim', '-Dtools=false']
        if not configure(other, options, env)()[0] or not run('ninja', '-C', other, '-j', JOBS, target)[0]:
            return False, 'the other build failed'
        ours, theirs = hashes(build), hashes(other)
        for one, two in zip(ours, theirs):
            if one != two:
                print(f'  {one} here, {two} with the other compiler')
        return ours == theirs and len(ours) == len(HASH_SEEDS), f'{len(ours)} seeds'
    return work


def compiler_env(compiler):
    if compiler == 'gcc':
        return {}
    return {'CXX': f'ccache {CLANG}' if shutil.which('ccache') else CLANG}


def changed_files():
    """C++ files changed since main, or by the last commit on main itself; everything where there is no history."""
    base = None
    for branch in ('origin/main', 'main'):
        merge_base = git('merge-base', 'HEAD', branch)
        if merge_base:
            base = merge_base[0]
            break
    if base == (git('rev-parse', 'HEAD') or [None])[0]:
        base = (git('rev-parse', '--verify', '-q', 'HEAD~1') or [None])[0]
    names = git('diff', '--name-only', base) if base else None
    every = cpp_files()
    if names is None:
        return every
    untracked = git('ls-files', '-o', '--exclude-standard') or []
    return [name for name in every if name in set(names) | set(untracked)]


def check_clang_tidy(build, seconds):
    """Looks at each changed file once, headers as files of their own; library before tests, until the time is over."""
    def work():
        _, complaint = run('clang-tidy-19', '--verify-config', quiet=True)
        if 'warning' in complaint:
            print(complaint)
            return False, '.clang-tidy names what clang-tidy does not know'
        built = {os.path.relpath(os.path.join(entry['directory'], entry['file']), ROOT)
                 for entry in json.loads((ROOT / build / 'compile_commands.json').read_text())}
        # What this build compiles; for a header clang-tidy takes the flags of a source near it. Those of other systems include what
        # this one need not have.
        folders = {f'backends/{source.parent.name}/' for source in ROOT.glob('backends/*/*.cpp')}
        foreign = tuple(folder for folder in folders if not any(name.startswith(folder) for name in built))
        names = [name for name in changed_files()
                 if name in built or (name.endswith('.hpp') and not name.startswith(foreign))]
        names.sort(key=lambda name: (name.startswith('tests/'), name))
        deadline = time.monotonic() + seconds

        def look(name):
            if time.monotonic() > deadline:
                return name, None, ''
            # The rooms' own headers only; flags of g++ that clang does not know are no finding.
            well, output = run('clang-tidy-19', '--quiet', '-p', ROOT / build, '--warnings-as-errors=*',
                               r'--header-filter=/(runtime|backends|net|subprocess|tools|tests)/',
                               '--extra-arg=-Wno-unknown-warning-option',
                               '--extra-arg=-Wno-pragma-once-outside-header', ROOT / name, quiet=True)
            return name, well, output

        bad = late = 0
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            for name, well, output in pool.map(look, names):
                if well is None:
                    late += 1
                elif well:
                    print(f'  {name}', flush=True)
                else:
                    bad += 1
                    print(re.sub(r'^\d+ warnings? (generated|treated).*\n', '', output, flags=re.MULTILINE), flush=True)
        note = f'{len(names) - late} changed files' + (f', {late} not looked at: {seconds} s are over' if late else '')
        return bad == 0, note
    return work


def whole(fast, tidy, compiler):
    check = Check()
    build = 'build/check' if compiler == 'gcc' else 'build/check-clang'
    env = compiler_env(compiler)
    # The simulator and the host's backend; tools/matrix runs the others.
    options = ['--werror', '-Dtest_backends=auto']
    check.phase('format', check_format)
    check.phase('tidy', check_tidy)
    if check.phase('configure', configure(build, options, env)):
        if check.phase('build', build_all(build)):
            if check.phase('tests', check_tests(check, build, [], env)):
                check.phase('conformance table', check_conformance(build))
            else:
                check.left_out('conformance table', 'it needs a green run')
            same = 'same seeds, other compiler'
            if fast or shutil.which(CLANG) is None:
                check.left_out(same, '--fast' if fast else f'there is no {CLANG}')
            else:
                check.phase(same, check_hashes(build, compiler))
        if tidy:
            check.phase('clang-tidy', check_clang_tidy(build, 60 if fast else 600))
        else:
            check.left_out('clang-tidy', '--no-tidy')
    return check.finish()


SANITIZERS = {
    'asan': ('address,undefined', {
        'ASAN_OPTIONS': 'detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1',
        'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1'}),
    'tsan': ('thread', {'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1'}),
}


def with_symbols(options):
    """Debian's clang looks for a symbolizer by a name that Debian does not install."""
    symbolizer = shutil.which('llvm-symbolizer-19')
    return {name: f'{value}:external_symbolizer_path={symbolizer}' if symbolizer else value for name, value in options.items()}


def sanitize():
    check = Check()
    compiler = compiler_env('clang')
    for name, (kind, env) in SANITIZERS.items():
        build = f'build/{name}'
        # -O1: at -O2 clang optimises some uses after free away.
        options = ['-Ddebug=true', '-Doptimization=1', f'-Db_sanitize={kind}', '-Db_lundef=false']
        if check.phase(f'{name}: configure', configure(build, options, compiler)):
            if check.phase(f'{name}: build', build_all(build)):
                check.phase(f'{name}: tests', check_tests(check, build, ['--timeout-multiplier', '5'], with_symbols(env)))
    return check.finish()


if __name__ == '__main__':
    fast, sanitized, tidy, compiler = sys.argv[1:]
    sys.exit(sanitize() if sanitized == 'yes' else whole(fast == 'yes', tidy == 'yes', compiler))
