#!/usr/bin/env python3
"""Keeps the status table of tests/conformance.md: which statements have a test, and where it is skipped, on each backend.

Usage: conformance.py [--build DIR] --write | --check | --missing
  --write    rewrites the table from the last `meson test` of DIR (build/check unless told)
  --check    fails when the table is not what --write would make of it, or when a test names an unknown statement
  --missing  lists the statements that no test names

A statement is tested on a backend where a test program ran a case with its id in the name; the programs tell, not the sources.
"""

import argparse
import collections
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = ROOT / 'tests' / 'conformance.md'
BEGIN = '<!-- status: begin; written by tools/conformance.py -->'
END = '<!-- status: end -->'
ID = re.compile(r'\b[A-Z]{2,5}-\d{3}\b')
STATEMENT = re.compile(r'^- \*\*([A-Z]{2,5}-\d{3})\*\*', re.MULTILINE)
GROUP = re.compile(r'^## ([A-Z]{2,5}) - (.+)$', re.MULTILINE)
NAMED = re.compile(r'^weir-statements:(.*)$', re.MULTILINE)
CLOSING = re.compile(r'^weir-tests: (\S+) (\S+) passed=', re.MULTILINE)
SKIP = re.compile(r'^weir-skip:[ ]*(\S+)[ ]+(\S.*)$', re.MULTILINE)


def last_tests(build):
    """The tests of the last run, as `meson test` logs them, with lines that end in one way: a program of Windows has its own."""
    for line in (build / 'meson-logs' / 'testlog.json').read_text().splitlines():
        test = json.loads(line)
        yield test | {stream: (test.get(stream) or '').replace('\r\n', '\n') for stream in ('stdout', 'stderr')}


def last_run(build):
    """What the last run of all tests said: per backend the statements that had a case, and the capability each skip lacks."""
    tested, skips = collections.defaultdict(set), collections.defaultdict(dict)
    for test in last_tests(build):
        # Scripts have their own closing lines and decide no statement.
        named, closing = NAMED.search(test['stdout']), CLOSING.search(test['stdout'])
        if named is None or closing is None:
            continue
        backend = closing.group(2)
        tested[backend] |= set(named.group(1).split())
        for name, capability in SKIP.findall(test['stdout']):
            skips[backend].update({one: capability.strip() for one in ID.findall(name)})
    return tested, skips


def table(text, tested, skips):
    """Statements with a test that ran; `+ n` are skipped for want of a capability."""
    statements = STATEMENT.findall(text)
    backends = sorted(tested, key=lambda name: (name != 'sim', name))
    rows = [f"| group | title | statements | {' | '.join(backends)} |", f"|---|---|---|{'---|' * len(backends)}"]

    def cell(ids, backend):
        skipped = [one for one in ids if one in skips[backend]]
        ran = sum(one in tested[backend] for one in ids) - len(skipped)
        return (f'{ran} + {len(skipped)} skipped' if skipped else str(ran)) if ran or skipped else '–'

    for group, title in GROUP.findall(text):
        ids = [one for one in statements if one.startswith(group + '-')]
        rows.append(f"| {group} | {title} | {len(ids)} | {' | '.join(cell(ids, backend) for backend in backends)} |")
    rows.append(f"| | **all** | **{len(statements)}** | "
                f"{' | '.join(f'**{cell(statements, backend)}**' for backend in backends)} |")
    lines = ['A number counts the statements of the group that a test decides on that backend.', '', *rows]
    missing = [f'| {one} | {backend} | {skips[backend][one]} |' for backend in backends for one in sorted(skips[backend])]
    if missing:
        lines += ['', 'Skipped, and the capability that is missing:', '', '| statement | backend | capability |', '|---|---|---|', *missing]
    return '\n'.join(lines)


def main():
    parser = argparse.ArgumentParser(usage='conformance.py [--build DIR] --write | --check | --missing')
    parser.add_argument('--build', default=ROOT / 'build' / 'check', type=pathlib.Path)
    what = parser.add_mutually_exclusive_group(required=True)
    for name in ('--write', '--check', '--missing'):
        what.add_argument(name, action='store_true')
    arguments = parser.parse_args()

    text = LIST.read_text()
    statements = STATEMENT.findall(text)
    try:
        tested, skips = last_run(arguments.build)
    except FileNotFoundError as error:
        print(f'conformance.py: no test run in {arguments.build}: {error}', file=sys.stderr)
        return 2
    problems = [f'{one} is in the list twice' for one, times in collections.Counter(statements).items() if times > 1]
    for backend in tested:
        problems += [f'a test on {backend} names {one}, which is not in the list' for one in sorted(tested[backend] - set(statements))
                     if one.split('-')[0] in dict(GROUP.findall(text))]
    if arguments.missing:
        print('\n'.join(one for one in statements if not any(one in ids for ids in tested.values())))
        return 0
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    wanted = f'\n{table(text, tested, skips)}\n'
    if arguments.write:
        LIST.write_text(text[:start] + wanted + text[end:])
    elif text[start:end] != wanted:
        problems.append('the status table of tests/conformance.md is old: run tools/conformance.py --write')
    print('\n'.join(problems) or f'{len(statements)} statements')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
