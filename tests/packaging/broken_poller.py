#!/usr/bin/env python3
"""The contract's tests notice a poller that loses events, and one that gives an old event to a new registration.

Usage: broken_poller.py PROGRAM BACKEND     PROGRAM: tests/contract over tests/backends/broken_poller.hpp
"""

import re
import sys

from packaging import Cases, run

program, backend = sys.argv[1:]
cases = Cases('contract/broken_poller', backend)


def failures(way):
    """How many test cases failed up to the first that did; None when the program did not come to its end."""
    done = run(program, '--abort-after=1', env={'WEIR_TEST_BROKEN': way})
    counted = re.search(r'^weir-tests: .* passed=\d+ failed=(\d+) skipped=\d+$', done.output, re.MULTILINE)
    return (int(counted.group(1)) if counted else None), done.output


for way, expected in (('not', 0), ('drop', 1), ('stale', 1)):
    failed, output = failures(way)
    cases.check(f'{way}: {expected} failed', failed == expected, output)
cases.finish()
