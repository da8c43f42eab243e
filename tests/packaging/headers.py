#!/usr/bin/env python3
"""Each public header compiles alone, without a warning, and drags no platform or third-party header into a user's program.

Usage: headers.py BACKEND INCLUDE_DIR... -- COMPILER...
"""

import concurrent.futures
import os
import pathlib
import re
import sys
import tempfile
import time

from packaging import Cases, run

split = sys.argv.index('--')
backend, *include_dirs = sys.argv[1:split]
compiler = sys.argv[split + 1:]
flags = ['-std=c++20', '-Wall', '-Wextra', '-Wpedantic', '-Werror', *[f'-I{path}' for path in include_dirs]]
cases = Cases('packaging/headers', backend)

# Nothing in libstdc++ or libc++ needs these: seeing one at any depth means that a header of ours asked for it.
BANNED = re.compile(
    r'/(sys/(epoll|event|socket|un|eventfd|timerfd|signalfd|uio|wait)\.h|netinet/|arpa/|netdb\.h|windows\.h|winsock2\.h|'
    r'openssl/|ares(_\w+)?\.h|event2/|liburing)')
# The standard library includes these itself, so only our own directive for them counts.
DIRECT = re.compile(r'^\s*#\s*include\s*<(unistd|poll|fcntl|signal|pthread|sys/\w+|linux/[\w/]+)\.h>', re.MULTILINE)


def includes_of(header):
    with tempfile.NamedTemporaryFile('w', suffix='.cpp') as unit:
        # Twice, so that a header without a guard is found.
        unit.write(f'#include <{header}>\n#include <{header}>\n')
        unit.flush()
        started = time.monotonic()
        done = run(*compiler, *flags, '-fsyntax-only', '-H', unit.name)
        return done, time.monotonic() - started


headers = {}
for directory in include_dirs:
    for path in sorted(pathlib.Path(directory).rglob('*.hpp')):
        headers[path.relative_to(directory).as_posix()] = path

with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for (header, path), (done, _) in zip(headers.items(), pool.map(includes_of, headers)):
        cases.check(f'{header} compiles alone', done.ok, done.output)
        seen = sorted({line.lstrip('. ') for line in done.output.splitlines()
                       if re.match(r'\.+ ', line) and BANNED.search(line)})
        seen += DIRECT.findall(path.read_text())
        cases.check(f'{header} includes nothing of the platform', not seen, '\n'.join(seen))

whole, seconds = includes_of('weir/weir.hpp')
dragged = {os.path.realpath(line.lstrip('. ')) for line in whole.output.splitlines() if re.match(r'\.+ ', line)}
for header, path in headers.items():
    if '/detail/' not in header and header != 'weir/weir.hpp':
        cases.check(f'weir/weir.hpp includes {header}', os.path.realpath(path) in dragged)
# How fast a machine is decides no test, but the number belongs into the log.
print(f'a translation unit that includes <weir/weir.hpp> compiles in {seconds:.2f} s')
cases.finish()
