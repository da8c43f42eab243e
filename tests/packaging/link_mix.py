#!/usr/bin/env python3
"""A program compiled for one backend and linked with another's library does not link.

Usage: link_mix.py WORK_DIR SOURCE BACKEND LIBRARY INCLUDE_DIRS OTHER_BACKEND OTHER_LIBRARY OTHER_INCLUDE_DIRS -- COMPILER...
INCLUDE_DIRS are joined by colons.
"""

import pathlib
import sys

from packaging import Cases, run

split = sys.argv.index('--')
work, source, *rest = sys.argv[1:split]
sides = [rest[:3], rest[3:]]
compiler = sys.argv[split + 1:]
pathlib.Path(work).mkdir(parents=True, exist_ok=True)
cases = Cases('packaging/link_mix', '+'.join(side[0] for side in sides))

for backend, _, includes in sides:
    objects = f'{work}/main.{backend}.o'
    compiled = run(*compiler, '-std=c++20', *[f'-I{path}' for path in includes.split(':')], '-c', source, '-o', objects)
    if not cases.check(f'compile for {backend}', compiled.ok, compiled.output):
        continue
    for other, library, _ in sides:
        linked = run(*compiler, objects, library, '-pthread', '-o', f'{work}/main.{backend}.{other}', env={'LC_ALL': 'C'})
        if other == backend:
            cases.check(f'{backend} with {other} links', linked.ok, linked.output)
        else:
            undefined = f'undefined reference to `weir::on_{backend}::' in linked.output
            cases.check(f'{backend} with {other} does not link', not linked.ok and undefined, linked.output)
cases.finish()
