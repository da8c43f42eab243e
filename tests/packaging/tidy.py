#!/usr/bin/env python3
"""tools/tidy.py finds every line of the canary that asks to be found, and no other.

Usage: tidy.py SOURCE_ROOT WORK_DIR
"""

import pathlib
import re
import shutil
import sys

from packaging import Cases, run

source, work = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
cases = Cases('packaging/tidy', 'all')

shutil.rmtree(work, ignore_errors=True)
shutil.copytree(source / 'tests' / 'packaging' / 'tidy_canary', work)
# Long files are made here rather than kept.
(work / 'runtime' / 'long.cpp').write_text(
    '// Too long. expect: dead-file\n' + '\n' * 599 + '// Here. expect: file-length\n'
    'void longer_than_allowed(int a,\n    int b) {  // expect: function-length\n' + '  step();\n' * 69 + '}\n'
    'class C {\n  void just_short_enough() {\n' + '    step();\n' * 68 + '  }\n};\n'
    'template <class R>\nclass Long<R()> {\n' + '  int member;\n' * 80 + '};\n')
(work / 'runtime' / 'include' / 'weir' / 'long.hpp').write_text(
    '// Too long.\n#pragma once\n' + '\n' * 298 + '// Here. expect: file-length\n')

expected = set()
for path in work.rglob('*'):
    if path.is_file() and path.suffix in ('.cpp', '.hpp', '.md') and path.name != 'README.md':
        for number, line in enumerate(path.read_text().split('\n'), 1):
            for rules in re.findall(r'expect: ([\w, -]+)', line):
                expected |= {(path.relative_to(work).as_posix(), number, rule.strip()) for rule in rules.split(',')}

done = run(source / 'tools' / 'tidy.py', '--root', work)
found = set()
for line in done.output.splitlines()[1:]:
    path, number, rule = line.split(': ')[0].split(':')[0], line.split(':')[1], line.split(': ')[1]
    found.add((path, int(number), rule))

cases.check('findings end it with status 1', done.code == 1, done.output)
for one in sorted(expected):
    cases.check(f'finds {one}', one in found, done.output)
cases.check('finds nothing else', not found - expected, '\n'.join(map(str, sorted(found - expected))))
rules = set(re.findall(r"(?:Rule\(|yield [\w, ().+]*?)'([a-z-]+)'", (source / 'tools' / 'tidy.py').read_text()))
cases.check('each rule has a canary', rules <= {rule for _, _, rule in expected}, str(rules - {r for _, _, r in expected}))
cases.check('bad usage is status 2', run(source / 'tools' / 'tidy.py', '--wrong').code == 2)
cases.finish()
