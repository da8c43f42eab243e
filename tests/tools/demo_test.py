"""tools/demo's show, with the program that the tests use: it must be green, and must not hide what fails."""

import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

from program import LIMIT, WEIR, main

DEMO = pathlib.Path(__file__).resolve().parents[2] / 'tools' / 'demo.py'
MISSING = next((name for name in ('socat', 'ncat', 'curl') if not shutil.which(name)), None)

# Says what a server says, and serves nobody.
FAKE = '''#!/bin/sh
case $1 in
  echo | relay | serve) echo tcp://127.0.0.1:9; exec sleep 1000;;
  *) exit 1;;
esac
'''


def run_demo(weir):
    return subprocess.run([sys.executable, DEMO, weir], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=5 * LIMIT)


@unittest.skipIf(MISSING, MISSING)
class Demo(unittest.TestCase):
    def test_it_is_green(self):
        done = run_demo(WEIR)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn('FAILED', done.stdout)
        self.assertIn('demo: all went well', done.stdout)

    def test_it_fails_with_a_program_that_does_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            fake = pathlib.Path(folder) / 'weir'
            fake.write_text(FAKE)
            fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
            done = run_demo(fake)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn('demo: 13 steps FAILED', done.stdout)

    def test_it_fails_without_a_program(self):
        done = run_demo('/bin/false')
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn('FAILED', done.stdout)
        self.assertNotIn('Traceback', done.stdout)


if __name__ == '__main__':
    main()
