"""The work of tools/check, which reads the arguments and installs what is missing.

Runs the phases one after another, each visible; ends with a table and one line of counts.
"""

import concurrent.futures
import json
import os
import re
import shutil
import sys
import time

import matrix
from phases import CLANG, JOBS, ROOT, Check, build_all, build_suite, check_tests, compiler_env, configure, run


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


HASH_SEEDS = range(1, 41)


HASHED = 'tests/sim_mixed_sim_test'


def build_otherwise(other, env):
    """The simulator's program and what check_hashes runs. Without TLS, so that this way of building is built at all, and without the
    precompiled header, which must not be what a source compiles by."""
    def work():
        options = ['-Dloop_backend=sim', '-Dtest_backends=sim', '-Dtools=true', '-Dtls=false', '-Db_pch=false']
        well, note = configure(other, options, env)()
        return well and run('ninja', '-C', other, '-j', JOBS, HASHED, 'tools/weir')[0], note
    return work


def check_hashes(build, other):
    """A seed means the same run with either compiler: the mixed workload of the simulator, built by the other one as well."""
    def hashes(where):
        found = []
        for seed in HASH_SEEDS:
            well, output = run(ROOT / where / HASHED, '-tc=*one seed*', env={'WEIR_SIM_SEED': str(seed)}, quiet=True)
            found += re.findall(r'^seed \d+: hash [0-9a-f]+$', output, re.MULTILINE) if well else [f'seed {seed} fails in {where}']
        return found

    def work():
        ours, theirs = hashes(build), hashes(other)
        for one, two in zip(ours, theirs):
            if one != two:
                print(f'  {one} here, {two} with the other compiler')
        return ours == theirs and len(ours) == len(HASH_SEEDS), f'{len(ours)} seeds'
    return work


def check_other_compiler(check, build, compiler, fast):
    made, same, absent = 'other compiler, without TLS', 'same seeds, other compiler', 'a program without TLS and network'
    why_not = '--fast' if fast else '' if shutil.which(CLANG) else f'there is no {CLANG}'
    if why_not:
        for phase in (made, same, absent):
            check.left_out(phase, why_not)
        return
    name = 'gcc' if compiler == 'clang' else 'clang'
    other, env = f'build/check-hash-{name}', compiler_env(name)
    if check.phase(made, build_otherwise(other, env)):
        check.phase(same, check_hashes(build, other))
        check.phase(absent, check_tests(check, other, ['tools/refused.sim', 'tools/tls_absent.sim'], env))


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
        # g++ has it compiled only, and clang-tidy is to see whether each source includes what it uses.
        without = ROOT / build / 'no-precompiled'
        without.mkdir(exist_ok=True)
        (without / 'precompiled.hpp').write_text('')

        def look(name):
            if time.monotonic() > deadline:
                return name, None, ''
            # The rooms' own headers only; flags of g++ that clang does not know are no finding.
            well, output = run('clang-tidy-19', '--quiet', '-p', ROOT / build, '--warnings-as-errors=*',
                               r'--header-filter=/(runtime|backends|net|subprocess|tools|tests)/',
                               f'--extra-arg=-I{without}', '--extra-arg=-Wno-unknown-warning-option',
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
    build = matrix.NATIVE if compiler == 'gcc' else 'build/check-clang'
    env = compiler_env(compiler)
    check.phase('format', check_format)
    check.phase('tidy', check_tidy)
    # The simulator and the host's backend.
    if check.phase('configure', configure(build, matrix.NATIVE_OPTIONS, env)):
        if check.phase('build', build_all(build)):
            green = check.phase('tests', check_tests(check, build, [], env))
            if green:
                check.phase('conformance table', check_conformance(build))
            else:
                check.left_out('conformance table', 'it needs a green run')
            check_others(check, green, '--fast' if fast else f'not with {compiler}' if compiler != 'gcc' else '')
            check_other_compiler(check, build, compiler, fast)
        if tidy:
            check.phase('clang-tidy', check_clang_tidy(build, 60 if fast else 600))
        else:
            check.left_out('clang-tidy', '--no-tidy')
    return check.finish()


def check_others(check, green, why_not):
    """The rest of the matrix, after a run of the native build."""
    if why_not:
        check.left_out('the other backends', why_not)
    else:
        others_green, others = matrix.test_others(check, matrix.BACKENDS)
        matrix.compare(check, green and others_green, others)


# name -> what clang calls it, the suite that is built and tested, the environment of the tests. A race needs threads.
SANITIZERS = {
    'asan': ('address,undefined', None, {
        'ASAN_OPTIONS': 'detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1',
        'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1'}),
    'tsan': ('thread', 'threads', {'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1'}),
}


def with_symbols(options):
    """Debian's clang looks for a symbolizer by a name that Debian does not install."""
    symbolizer = shutil.which('llvm-symbolizer-19')
    return {name: f'{value}:external_symbolizer_path={symbolizer}' if symbolizer else value for name, value in options.items()}


def sanitize():
    check = Check()
    compiler = compiler_env('clang')
    for name, (kind, suite, env) in SANITIZERS.items():
        build = f'build/{name}'
        # -O1: at -O2 clang optimises some uses after free away.
        options = ['-Ddebug=true', '-Doptimization=1', f'-Db_sanitize={kind}', '-Db_lundef=false']
        if check.phase(f'{name}: configure', configure(build, options, compiler)):
            if check.phase(f'{name}: build', build_suite(build, suite) if suite else build_all(build)):
                arguments = ['--timeout-multiplier', '5', *(['--suite', suite] if suite else [])]
                check.phase(f'{name}: tests', check_tests(check, build, arguments, with_symbols(env)))
    return check.finish()


if __name__ == '__main__':
    fast, sanitized, tidy, compiler = sys.argv[1:]
    sys.exit(sanitize() if sanitized == 'yes' else whole(fast == 'yes', tidy == 'yes', compiler))
