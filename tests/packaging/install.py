#!/usr/bin/env python3
"""An installed weir, moved to another prefix, is found and used through pkg-config and through CMake.

Usage: install.py BUILD_ROOT SOURCE WORK_DIR PREFIX LIBDIR BACKEND VERSION -- COMPILER...
"""

import pathlib
import shutil
import sys

from packaging import Cases, run

split = sys.argv.index('--')
build_root, source, work, prefix, libdir, backend, version = sys.argv[1:split]
compiler = sys.argv[split + 1:]
work = pathlib.Path(work)
shutil.rmtree(work, ignore_errors=True)
work.mkdir(parents=True)
cases = Cases('packaging/install', backend)

installed = run('meson', 'install', '-C', build_root, '--no-rebuild', '--destdir', work / 'root')
root = work / 'root' / prefix.lstrip('/')
said = f'weir {version} on {backend}\n'
if cases.check('install', installed.ok, installed.output):
    stray = [str(path) for path in (root / 'include').rglob('*') if path.is_file() and path.suffix != '.hpp']
    cases.check('only headers in the include directory', not stray, '\n'.join(stray))

    env = {'PKG_CONFIG_PATH': str(root / libdir / 'pkgconfig')}
    asked = ['pkg-config', f'--define-variable=prefix={root}']
    flags = run(*asked, '--cflags', '--libs', 'weir', env=env)
    cases.check('pkg-config knows the version', version in run(*asked, '--modversion', 'weir', env=env).output)
    cases.check('pkg-config knows the backend', backend in run(*asked, '--variable=backend', 'weir', env=env).output)
    if cases.check('pkg-config finds weir', flags.ok, flags.output):
        words = flags.output.splitlines()[-1].split()
        built = run(*compiler, '-std=c++20', source, '-o', work / 'with_pkg_config', *words, f'-Wl,-rpath,{root / libdir}')
        if cases.check('a program builds with pkg-config', built.ok, built.output):
            ran = run(work / 'with_pkg_config')
            cases.check('and runs', ran.ok and said in ran.output, ran.output)

    if shutil.which('cmake') is None:
        cases.skip('packaging/install:find_package', 'cmake')
    else:
        project = work / 'cmake'
        project.mkdir()
        (project / 'CMakeLists.txt').write_text(
            'cmake_minimum_required(VERSION 3.20)\n'
            'project(consumer LANGUAGES CXX)\n'
            f'find_package(weir {version} REQUIRED)\n'
            f'add_executable(consumer {source})\n'
            'target_link_libraries(consumer PRIVATE weir::weir)\n'
            'file(WRITE ${CMAKE_BINARY_DIR}/backend "${weir_BACKEND}")\n')
        made = run('cmake', '-G', 'Ninja', '-S', project, '-B', project / 'build', f'-DCMAKE_CXX_COMPILER={compiler[-1]}',
                   f'-Dweir_DIR={root / libdir}/cmake/weir')
        if cases.check('CMake finds weir', made.ok, made.output):
            cases.check('and its backend', (project / 'build' / 'backend').read_text() == backend)
            built = run('cmake', '--build', project / 'build')
            if cases.check('a program builds with CMake', built.ok, built.output):
                ran = run(project / 'build' / 'consumer')
                cases.check('and runs', ran.ok and said in ran.output, ran.output)
        (project / 'CMakeLists.txt').write_text(
            'cmake_minimum_required(VERSION 3.20)\nproject(consumer LANGUAGES CXX)\nfind_package(weir 99.0 REQUIRED)\n')
        refused = run('cmake', '-G', 'Ninja', '-S', project, '-B', project / 'refused', f'-DCMAKE_CXX_COMPILER={compiler[-1]}',
                      f'-Dweir_DIR={root / libdir}/cmake/weir')
        cases.check('CMake refuses another version', not refused.ok and 'version' in refused.output, refused.output)
cases.finish()
