"""weir exec: output, exit status, signals, time-outs, terminals; and what becomes of errors of the system."""

import contextlib
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import unittest

from program import BACKEND, LIMIT, SANITIZERS, WEIR, default_interrupt, main, run


@contextlib.contextmanager
def started(*arguments, **options):
    process = subprocess.Popen([WEIR, 'exec', *arguments], stdin=options.pop('stdin', subprocess.DEVNULL), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, preexec_fn=options.pop('prepare', default_interrupt), **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Terminal:
    """What a person has in front of them."""

    def __init__(self):
        self.ours, self.theirs = pty.openpty()
        self.shown = ''
        self.resize(40, 100)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fd in (self.ours, self.theirs):
            os.close(fd)

    def resize(self, rows, columns):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def type(self, text):
        os.write(self.ours, text.encode())

    def wait_for(self, text):
        while text not in self.shown:
            if not select.select([self.ours], [], [], LIMIT)[0]:
                raise AssertionError(f'{text!r} never came, but {self.shown!r}')
            self.shown += os.read(self.ours, 1000).decode()

    def is_raw(self):
        return not termios.tcgetattr(self.theirs)[3] & termios.ICANON

    def start(self, *arguments):
        def prepare():
            default_interrupt()
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        return subprocess.Popen([WEIR, 'exec', *arguments], stdin=self.theirs, stdout=self.theirs, stderr=subprocess.PIPE, text=True,
                                preexec_fn=prepare)


class ExecTest(unittest.TestCase):
    def test_output_and_exit_status(self):
        self.assertEqual(run('exec', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3'), (3, 'out\n', 'err\n'))
        self.assertEqual(run('exec', '--', 'sh', '-c', 'kill -9 $$'), (137, '', ''))

    def test_what_cannot_be_started(self):
        self.assertEqual(run('exec', '--', '/no/such'),
                         (127, '', 'weir exec: create_subprocess_exec: exec /no/such: No such file or directory\n'))
        self.assertEqual(run('exec', '--', '/etc/passwd')[0], 126)
        self.assertEqual(run('exec')[0], 2)

    def test_it_has_our_input(self):
        done = subprocess.run([WEIR, 'exec', '--', 'cat'], input='passed on', capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual((done.returncode, done.stdout), (0, 'passed on'))

    def test_much_output_for_a_slow_reader(self):
        """64 MiB, and the program does not hold them."""
        with started('--', 'head', '-c', str(64 << 20), '/dev/zero') as process:
            received = len(process.stdout.buffer.read(32 << 20))
            peak = int(next(line for line in open(f'/proc/{process.pid}/status') if line.startswith('VmHWM')).split()[1])
            received += len(process.stdout.buffer.read())
            self.assertEqual((process.wait(LIMIT), received), (0, 64 << 20))
        if 'address' not in SANITIZERS:
            self.assertLess(peak, 30 << 10)  # KiB

    def test_nobody_takes_the_output(self):
        with started('--', 'yes') as process:
            self.assertEqual(process.stdout.readline(), 'y\n')
            process.stdout.close()
            self.assertEqual(process.wait(LIMIT), 128 + signal.SIGPIPE)

    def test_timeout(self):
        self.assertEqual(run('exec', '--timeout', '50ms', '--', 'sleep', '1000'), (124, '', ''))
        status, out, _ = run('exec', '--timeout', '50ms', '--', 'sh', '-c', 'trap "echo asked; exit" TERM; while :; do sleep 0.01; done')
        self.assertEqual((status, out), (124, 'asked\n'))

    def test_what_is_left_behind_does_not_hold_us(self):
        with tempfile.NamedTemporaryFile() as pid:
            status, out, _ = run('exec', '--', 'sh', '-c', f'sleep 1000 & echo $! >{pid.name}; echo hi')
            self.assertEqual((status, out), (0, 'hi\n'))
            os.kill(int(pid.read()), signal.SIGKILL)

    def test_signals_are_passed_on(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT, signal.SIGQUIT):
            name = number.name.removeprefix('SIG')
            with self.subTest(name), started('--', 'sh', '-c', f'trap "echo got {name}; exit 7" {name}; echo ready; '
                                             'while :; do sleep 0.01; done') as process:
                self.assertEqual(process.stdout.readline(), 'ready\n')
                process.send_signal(number)
                self.assertEqual(process.communicate(timeout=LIMIT), (f'got {name}\n', ''))
                self.assertEqual(process.returncode, 7)

    def test_json(self):
        status, out, err = run('exec', '--json', '--', 'sh', '-c', r'printf "a\"\377\n"; echo é >&2; exit 4')
        report = json.loads(out)
        self.assertGreater(report.pop('pid'), 0)
        self.assertEqual((status, err), (4, ''))
        self.assertEqual(report, {'command': ['sh', '-c', r'printf "a\"\377\n"; echo é >&2; exit 4'], 'returncode': 4,
                                  'stdout': 'a"\ufffd\n', 'stderr': 'é\n'})
        status, out, err = run('exec', '--json', '--timeout', '50ms', '--', 'sleep', '1000')
        self.assertEqual((status, json.loads(out)['returncode']), (124, -9))

    def test_a_terminal_of_its_own(self):
        status, out, err = run('exec', '--pty', '--', 'sh', '-c', 'tty >/dev/null && stty size; exit 5')
        self.assertEqual((status, out, err), (5, '24 80\n', ''))
        done = subprocess.run([WEIR, 'exec', '--pty', '--', 'sh', '-c', 'stty -echo; read line; echo "<$line>"; cat'], input=b'typed\n',
                              capture_output=True, timeout=LIMIT)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b'<typed>\r\n', done.stdout)

    def test_our_terminal_is_its_terminal(self):
        command = 'trap "stty size" WINCH; stty size; read line; echo "<$line>"; while read line; do echo again; done; exit 6'
        with Terminal() as terminal:
            process = terminal.start('--pty', '--', 'sh', '-c', command)
            terminal.wait_for('40 100')
            self.assertTrue(terminal.is_raw())
            terminal.type('hello\r')
            terminal.wait_for('<hello>')
            terminal.resize(30, 90)
            process.send_signal(signal.SIGWINCH)
            terminal.type('\r')
            terminal.wait_for('30 90')
            terminal.type('\x04')
            self.assertEqual(process.wait(LIMIT), 6)
            process.stderr.close()
            self.assertFalse(terminal.is_raw())

    def test_ctrl_c_is_for_the_child(self):
        with Terminal() as terminal:
            process = terminal.start('--pty', '--', 'sh', '-c', 'trap "echo interrupted; exit 8" INT; echo ready; '
                                     'while :; do sleep 0.01; done')
            terminal.wait_for('ready')
            terminal.type('\x03')
            terminal.wait_for('interrupted')
            self.assertEqual(process.wait(LIMIT), 8)
            process.stderr.close()


# What fails, how often it is called before, and what the program says: then there is neither a child nor a hang.
FAULTS = (
    ('clone', 'EAGAIN', 1, 'clone: Resource temporarily unavailable'),
    ('clone', 'ENOMEM', 1, 'clone: Cannot allocate memory'),
)
# The first is for wake-ups.
WATCH_FAULTS = (
    ('epoll_ctl', 'ENOMEM', 2, 'create_subprocess_exec: Cannot allocate memory'),
    ('epoll_ctl', 'ENOMEM', 3, 'what the child writes to 1 cannot be read: pipe recv: Cannot allocate memory'),
    ('epoll_ctl', 'ENOMEM', 4, 'what the child writes to 2 cannot be read: pipe recv: Cannot allocate memory'),
)
PIPE_FAULTS = (
    ('pipe2', 'EMFILE', 1, 'Too many open files'),
    ('pipe2', 'ENFILE', 2, 'Too many open files in system'),
)


def can_inject():
    return shutil.which('strace') is not None and subprocess.run(
        ['strace', '-D', '-f', '-o', '/dev/null', '-e', 'trace=close', 'true'], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


@unittest.skipUnless(can_inject(), 'strace')
class FaultsTest(unittest.TestCase):
    def test_errors_of_the_system_are_told(self):
        self.are_told(FAULTS)

    @unittest.skipUnless(SANITIZERS == ['none'], 'counted_pipes')  # the runtimes of sanitizers make pipes, too
    def test_errors_of_pipes_are_told(self):
        self.are_told(PIPE_FAULTS)

    @unittest.skipUnless(BACKEND == 'epoll', 'epoll_calls')
    def test_a_child_or_an_output_that_cannot_be_watched_is_told(self):
        self.are_told(WATCH_FAULTS)

    def are_told(self, faults):
        environment = {**os.environ, 'ASAN_OPTIONS': 'detect_leaks=0'}  # which cannot work beside a tracer
        for call, error, when, message in faults:
            with self.subTest(f'{call} {error}'), tempfile.NamedTemporaryFile() as record:
                done = subprocess.run(['strace', '-D', '-f', '-qqq', '-o', record.name, '-e', f'trace={call}', '-e',
                                       f'inject={call}:error={error}:when={when}', WEIR, 'exec', '--', '/bin/true'],
                                      stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, env=environment)
                self.assertIn('INJECTED', record.read().decode())
                self.assertIn(message, done.stderr)
                self.assertIn(done.returncode, (1, 126))


if __name__ == '__main__':
    main()
