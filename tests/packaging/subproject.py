#!/usr/bin/env python3
"""A project with weir under its subprojects/ configures, builds and runs, and gets the backend it asked for.

Usage: subproject.py SOURCE_ROOT WORK_DIR BACKEND VERSION
"""

import pathlib
import shutil
import sys

from packaging import Cases, run

source, work, backend, version = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
cases = Cases('packaging/subproject', backend)

# The project is laid afresh; its build directory stays, so that a second run only builds what changed.
project = work / 'project'
shutil.rmtree(project, ignore_errors=True)
shutil.copytree(source / 'tests' / 'subproject', project)
(project / 'subprojects').mkdir()
(project / 'subprojects' / 'weir').symlink_to(source)

# The consumer's own default_options name sim; any other backend is asked for as its user would.
wish = [] if backend == 'sim' else [f'-Dweir:loop_backend={backend}']
build = work / 'build'
setup = ['meson', 'setup', build, project, '--force-fallback-for=weir', '-Dbuildtype=plain', *wish]
configured = run(*setup)
if not configured.ok and build.exists():
    shutil.rmtree(build)
    configured = run(*setup)
if cases.check('configure', configured.ok, configured.output):
    built = run('ninja', '-C', build, 'consumer')
    if cases.check('build', built.ok, built.output):
        ran = run(build / 'consumer')
        cases.check('run', ran.ok and f'weir {version} on {backend}\n' in ran.output, ran.output)
    targets = run('ninja', '-C', build, '-t', 'targets', 'all')
    linked = [line.split(':')[0] for line in targets.output.splitlines() if 'LINKER' in line]
    foreign = [name for name in linked if name != 'consumer' and 'libweir' not in name]
    cases.check('no tests and no tools in a subproject', linked and not foreign, '\n'.join(foreign))
cases.finish()
