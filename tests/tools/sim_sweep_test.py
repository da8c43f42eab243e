"""tools/sim_sweep, with small scripts in the place of simulated programs."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from program import WEIR as SWEEP
from program import main, run


class Sweep(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def script(self, text):
        path = self.folder / 'program'
        path.write_text('#!/bin/sh\n' + text)
        path.chmod(0o755)
        return path

    def test_every_seed_runs_once(self):
        program = self.script(f'touch {self.folder}/seed.$WEIR_SIM_SEED\n')
        status, out, err = run('-n', 25, '--first', 7, '-j', 3, program)
        self.assertEqual(status, 0)
        self.assertRegex(out, r'^25 seeds in [\d.]+ s: all well\n$')
        self.assertIn('25/25 seeds, 0 failed', err)
        self.assertEqual({path.name for path in self.folder.glob('seed.*')}, {f'seed.{seed}' for seed in range(7, 32)})

    def test_the_lowest_failing_seed_is_the_first_one(self):
        # Of the seeds that run at the same time, a later one fails sooner.
        program = self.script(f'''
[ $WEIR_SIM_SEED = 9 ] && while ! [ -e {self.folder}/go ]; do :; done
[ $WEIR_SIM_SEED = 10 ] && touch {self.folder}/go
[ $WEIR_SIM_SEED -lt 9 ] || {{ echo bad $WEIR_SIM_SEED "$1"; exit 3; }}
''')
        status, out, _ = run('-j', 2, program, 'an argument')
        self.assertEqual(status, 1)
        self.assertIn('first failing seed: 9 (exit status 3)\n  bad 9 an argument\n', out)
        replay = re.search(r'^replay: (.*)$', out, re.M).group(1)
        (self.folder / 'go').touch()
        again = subprocess.run(['sh', '-c', replay], capture_output=True, text=True)
        self.assertEqual((again.returncode, again.stdout), (3, 'bad 9 an argument\n'))

    def test_it_stops_at_the_first_failure_unless_told_to_keep_going(self):
        program = self.script('[ $(($WEIR_SIM_SEED % 10)) != 0 ]\n')
        status, out, _ = run('--quiet', '-n', 100, '-j', 1, program)
        self.assertEqual(status, 1)
        self.assertLess(int(re.match(r'(\d+) seeds', out).group(1)), 20)
        status, out, err = run('--quiet', '--keep-going', '-n', 40, program)
        self.assertEqual((status, err), (1, ''))
        self.assertIn(': 4 failed: 10 20 30 40\n', out)

    def test_a_signal_and_a_run_that_does_not_end_are_failures(self):
        status, out, _ = run('-n', 1, self.script('kill -SEGV $$\n'))
        self.assertEqual(status, 1)
        self.assertIn('(signal SIGSEGV)', out)
        status, out, _ = run('-n', 1, '--timeout', 0.2, self.script('echo begun\nexec sleep 60\n'))
        self.assertEqual(status, 1)
        self.assertIn('(not done after 0.2 s)\n  begun\n', out)

    def test_fault_points_are_summed(self):
        program = self.script('''echo "weir-sim-point: one 10 1" >&2
[ "$WEIR_SIM_POINTS" = 1 ] && echo "weir-sim-point: two 5 0" >&2
''')
        status, out, _ = run('--quiet', '-n', 4, program)
        self.assertEqual(status, 0)
        self.assertRegex(out, r'(?m)^  one +40 +4$')
        self.assertRegex(out, r'(?m)^  two +20 +0 +NEVER TAKEN$')
        self.assertIn('never taken: two\n', out)

    def test_bad_usage(self):
        self.assertEqual(run()[0], 2)
        self.assertEqual(run('-n', 0, self.script(''))[0], 2)
        status, _, err = run(self.folder / 'nothing')
        self.assertEqual(status, 1)
        self.assertIn('there is no program', err)


if __name__ == '__main__':
    assert os.access(SWEEP, os.X_OK)
    main()
