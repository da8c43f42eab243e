#!/usr/bin/env python3
"""An option for something that does not exist yet ends the configure with one sentence that says so.

Usage: options.py SOURCE_ROOT WORK_DIR
"""

import pathlib
import shutil
import sys

from packaging import Cases, run

source, work = sys.argv[1], pathlib.Path(sys.argv[2])
cases = Cases('packaging/options', 'all')

REFUSED = {
    '-Dloop_backend=iocp': 'The backend iocp needs Windows, and this host is linux',
    '-Dloop_backend=io_uring': 'The backend io_uring is not written yet',
    '-Dtest_backends=sim,io_uring': 'The backend io_uring is not written yet',
}
if sys.platform == 'linux':
    REFUSED['-Dloop_backend=kqueue'] = 'The backend kqueue needs macOS or a BSD'
for option, sentence in REFUSED.items():
    shutil.rmtree(work, ignore_errors=True)
    done = run('meson', 'setup', work, source, option)
    cases.check(f'{option}: {sentence}', not done.ok and sentence in done.output, done.output)
shutil.rmtree(work, ignore_errors=True)
cases.finish()
