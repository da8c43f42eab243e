"""What the packaging tests share: running commands, counting cases, and the closing line that tools/check reads."""

import os
import subprocess
import sys


class Cases:
    """Counts the cases of one test program. A skip names the capability that is missing."""

    def __init__(self, name, backend):
        self.name, self.backend = name, backend
        self.passed = self.failed = self.skipped = 0

    def check(self, what, true, detail=''):
        if true:
            self.passed += 1
            print(f'ok    {what}', flush=True)
        else:
            self.failed += 1
            print(f'FAIL  {what}\n{detail}', flush=True)
        return true

    def skip(self, what, capability):
        self.skipped += 1
        print(f'weir-skip: {what} {capability}', flush=True)

    def finish(self):
        print(f'weir-tests: {self.name} {self.backend} passed={self.passed} failed={self.failed} skipped={self.skipped}')
        sys.exit(1 if self.failed or self.passed + self.skipped == 0 else 0)


class Done:
    def __init__(self, code, output):
        self.code, self.output = code, output
        self.ok = code == 0


def run(*command, env=None, cwd=None):
    """Runs to the end with its output, stderr included, taken whole."""
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors='replace', cwd=cwd,
                          env={**os.environ, **(env or {})})
    return Done(done.returncode, f"$ {' '.join(str(part) for part in command)}\n{done.stdout}")
