"""The work of tools/bench, which reads the arguments and installs what is missing: builds, measures, writes the results.

Everything is measured side by side: in each round every comparison runs its variants in random order, with the floor before,
between and after them, and a variant's ratio is to the floors around it. The machine's speed may then drift.
"""

import collections
import json
import os
import pathlib
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time

import cells
import files
import measure
import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / 'build' / 'bench'


class Comparison:
    """Variants of one row, the floor first, and what they measured: per variant and metric, values and ratios to the floor."""

    def __init__(self, name, variants, measure_one, rounds, nominal):
        self.name, self.variants, self.measure_one, self.rounds, self.nominal = name, variants, measure_one, rounds, nominal
        self.values = collections.defaultdict(lambda: collections.defaultdict(list))
        self.ratios = collections.defaultdict(lambda: collections.defaultdict(list))

    @property
    def floor(self):
        return self.variants[0]

    def runs(self):
        return 2 * len(self.variants) - 1

    def round(self, chance, advance):
        others = self.variants[1:]
        chance.shuffle(others)
        before = self.run(self.floor, advance)
        for name in others:
            result = self.run(name, advance)
            after = self.run(self.floor, advance)
            for metric, value in result.items():
                reference = (before[metric] + after[metric]) / 2
                if reference:
                    self.ratios[name][metric].append(value / reference)
            for metric, value in after.items():
                if before[metric]:
                    self.ratios[self.floor][metric].append(value / before[metric])
            before = after

    def run(self, name, advance):
        result = self.measure_one(name)
        for metric, value in result.items():
            self.values[name][metric].append(value)
        advance(self)
        return result

    def table(self):
        """Variant -> metric -> value (median), ratio (median), spread (half the distance of the quartiles, of the ratio)."""
        whole = {}
        for name in self.variants:
            whole[name] = {}
            for metric, values in self.values[name].items():
                ratios = sorted(self.ratios[name][metric])
                entry = {'value': statistics.median(values), 'runs': len(values)}
                if ratios:
                    entry['ratio'] = 1.0 if name == self.floor else statistics.median(ratios)
                if len(ratios) >= 2:
                    quartiles = statistics.quantiles(ratios, n=4, method='inclusive')
                    entry['spread'] = (quartiles[2] - quartiles[0]) / 2
                whole[name][metric] = entry
        return whole


class Progress:
    """A bar on a terminal, a line per round elsewhere; estimates what is left from what comparisons took so far."""

    def __init__(self, comparisons, rounds):
        self.left = {one.name: one.runs() * max(1, round(one.rounds * rounds)) for one in comparisons}
        self.total = sum(self.left.values())
        self.took = collections.defaultdict(list)
        self.nominal = {one.name: one.nominal for one in comparisons}
        self.started = self.last = time.monotonic()
        self.round = ''

    def advance(self, comparison):
        now = time.monotonic()
        self.took[comparison.name].append(now - self.last)
        self.last = now
        self.left[comparison.name] -= 1
        self.show(comparison.name)

    def seconds_left(self):
        return sum(left * (statistics.fmean(self.took[name]) if self.took[name] else self.nominal[name])
                   for name, left in self.left.items())

    def show(self, name):
        if sys.stderr.isatty():
            done = 1 - sum(self.left.values()) / self.total
            bar = ('#' * round(30 * done)).ljust(30, '.')
            print(f'\r[{bar}] {100 * done:3.0f}%  {self.round}, {clock(self.seconds_left())} left  {name[:36]:<36}', end='',
                  file=sys.stderr, flush=True)

    def say(self, text):
        if sys.stderr.isatty():
            print('\r' + ' ' * 100 + '\r', end='', file=sys.stderr)
        print(text, flush=True)
        self.last = time.monotonic()


def clock(seconds):
    return f'{int(seconds) // 60}:{int(seconds) % 60:02}'


def run_comparisons(comparisons, rounds, seconds):
    """Round by round, until all are done or, if `seconds` is given, that time is over (the first round is always whole)."""
    chance = random.Random(1)
    progress = Progress(comparisons, rounds)
    deadline = time.monotonic() + seconds if seconds else None
    most = max(max(1, round(one.rounds * rounds)) for one in comparisons)
    for number in range(most):
        todo = [one for one in comparisons if number < max(1, round(one.rounds * rounds))]
        chance.shuffle(todo)
        progress.round = f'round {number + 1} of {most}'
        started = time.monotonic()
        for one in todo:
            if number and deadline and time.monotonic() > deadline:
                progress.say(f'{seconds} s are over after {number} rounds')
                return
            one.round(chance, progress.advance)
        progress.say(f'round {number + 1} of {most}: {clock(time.monotonic() - started)}, about {clock(progress.seconds_left())} left')


def micro_comparisons(settings):
    program = str(BUILD / 'bench' / 'micro')
    rows = collections.defaultdict(list)
    for name in measure.micro_names(program):
        row, variant = name.split('/')
        key = row + ' spinning' if variant.endswith('_spinning') else row
        rows[key].append(variant)
    result = []
    for key, variants in rows.items():
        row = key.split()[0]
        kept = [name for name in variants if not settings.quick or name.startswith(('floor', 'weir'))]
        kept.sort(key=lambda name: (not name.startswith('floor'), not name.startswith('weir')))
        core = None if row.startswith('xthread') else measure.SERVER_CORE
        result.append(Comparison(key, kept, lambda name, row=row, core=core: measure.micro(
            program, f'{row}/{name}', settings.micro_seconds, core), 1, 0.7))
    return result


def echo_comparisons(settings):
    program, every = str(BUILD / 'bench' / 'load'), cells.servers(BUILD)
    result = []
    for cell in cells.echo_cells():
        if settings.quick and not cell.quick:
            continue
        cell.seconds = settings.echo_seconds
        if settings.quick:
            cell.servers = tuple(name for name in cell.servers if name.removesuffix('_udp').removesuffix('_tls') not in ('libevent', 'libev'))
        variants = [name for name in cell.servers if name in every]
        if not variants:  # a build without TLS
            continue
        result.append(Comparison(cell.name, variants, lambda name, cell=cell: measure.echo(program, every[name], cell),
                                 cell.rounds, settings.echo_seconds + 0.4 if not cell.count else 3))
    return result


def file_comparisons(settings):
    """None without nginx or wrk."""
    if files.missing():
        print(f'tools/bench: static files are not measured: no {" and no ".join(files.missing())} here', file=sys.stderr)
        return []
    weir = str(BUILD / 'tools' / 'weir')
    result = []
    for cell in cells.file_cells():
        cell.seconds = 1 if settings.quick else cell.seconds
        result.append(Comparison(cell.name, cell.servers, lambda name, cell=cell: files.measure_files(name, weir, cell), 1,
                                 cell.seconds + 0.4))
    return result


def count_instructions(pattern):
    """By callgrind: per request for the servers, per operation for the rows."""
    every, micro = cells.servers(BUILD), str(BUILD / 'bench' / 'micro')
    result = {kind: {} for kind in (*cells.COUNTED, 'micro')}
    for kind, counted in cells.COUNTED.items():
        for name in counted.servers:
            if name in every and re.search(pattern, f'{kind}/{name}'):
                found = measure.echo_instructions(str(BUILD / 'bench' / 'load'), every[name], counted)
                result[kind][name] = found
                print(f'{f"{kind}/{name}":<33} {found:11.1f} user instructions per request', flush=True)
    for name in measure.micro_names(micro):
        # Two threads wait for each other: what callgrind counts then is its own scheduling.
        if name.split('/')[1].startswith(('weir', 'floor')) and not name.startswith(('xthread', 'proc_spawn')) and re.search(pattern, name):
            result['micro'][name] = measure.micro_instructions(micro, name)
            print(f'{name:<33} {result["micro"][name]:9.1f} instructions per operation', flush=True)
    return result


def count_idle_bytes(pattern):
    every, result = cells.servers(BUILD), {}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connections = min(10000, hard - 200)
    for name in cells.IDLE:
        if name in every and re.search(pattern, f'idle/{name}'):
            command = [*every[name], *cells.IDLE_ARGUMENTS.get(name, [])]
            result[name] = measure.idle_bytes(str(BUILD / 'bench' / 'load'), BUILD / 'bench' / 'heap.so', command, connections)
            print(f'idle/{name:<28} {result[name][0]:9.1f} bytes never used, {result[name][1]:.1f} after one echo', flush=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return result


def build():
    if not (BUILD / 'meson-private' / 'coredata.dat').exists():
        shutil.rmtree(BUILD, ignore_errors=True)
        compiler = {} if 'CXX' in os.environ or not shutil.which('ccache') else {'CXX': 'ccache c++'}
        subprocess.run(['meson', 'setup', BUILD, '-Dbuildtype=release', '-Dtests=false', '-Dbench=true', '-Dtools=true'],
                       cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **compiler})
    subprocess.run(['ninja', '-C', BUILD], cwd=ROOT, check=True)
    if (maker := BUILD / 'bench' / 'tls_certificate').exists():
        subprocess.run([maker, cells.certificate(BUILD)], check=True)


def run_all(settings):
    machine = report.machine(ROOT, settings)
    micro = [one for one in micro_comparisons(settings) if re.search(settings.only, one.name)]
    echo = [one for one in echo_comparisons(settings) if re.search(settings.only, one.name)]
    static = [one for one in file_comparisons(settings) if re.search(settings.only, one.name)]
    if micro or echo or static:
        run_comparisons(micro + echo + static, settings.rounds, settings.seconds)
    return {
        'machine': machine,
        'micro': {one.name: {'floor': one.floor, 'variants': one.table()} for one in micro},
        'echo': {one.name: {'floor': one.floor, 'variants': one.table()} for one in echo},
        'files': {one.name: {'floor': one.floor, 'variants': one.table()} for one in static},
        'instructions': count_instructions(settings.only if not settings.quick else f'(?=echo/)({settings.only})'),
        'idle': {} if settings.quick else count_idle_bytes(settings.only),
    }


def main(settings):
    build()
    if settings.instructions:
        count_instructions(settings.only)
        return 0
    if (os.cpu_count() or 1) < 2:
        print('tools/bench: the server and its client need a core each, and this machine has one', file=sys.stderr)
        return 1
    results = run_all(settings)
    (BUILD / 'results.json').write_text(json.dumps(results, indent=1))
    print(f'raw figures: {(BUILD / "results.json").relative_to(ROOT)}')
    # A part, or too few rounds, is no record: the files of the last whole run stay.
    folder = BUILD if settings.only or settings.quick or settings.rounds < 5 else ROOT / 'bench'
    report.write(results, folder)
    if folder == BUILD:
        print(report.markdown(results))
    print(f'written: {folder.relative_to(ROOT)}/RESULTS.md and results.svg')
    return 0


class Settings:
    def __init__(self, quick, only, rounds, instructions, command):
        self.quick, self.instructions = quick == 'yes', instructions == 'yes'
        self.only, self.command = only, command
        self.rounds = int(rounds) if rounds else 3 if self.quick else 5
        self.seconds = 120 if self.quick else None
        self.echo_seconds = 0.25 if self.quick else 1.0
        self.micro_seconds = 0.05 if self.quick else 0.25


if __name__ == '__main__':
    sys.exit(main(Settings(*sys.argv[1:])))
