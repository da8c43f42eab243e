"""Each system call of the epoll path fails with each error that its manual lists, once or for ever, while the weir
program has real clients. The table says what becomes of it: whatever happens, nothing crashes, hangs, spins or leaks.

strace injects the errors in the kernel's stead, so that every build can be driven, one with sanitizers too (a preloaded
library would lose against the interceptors of a sanitizer's runtime). By default a slice of the table is run: the first
error of each row, with one API. WEIR_FAULTS=all runs the whole of it, WEIR_FAULTS=<text> the cases with that in their
name.
"""

import concurrent.futures
import contextlib
import dataclasses
import errno
import functools
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from program import LIMIT, WEIR, Server, main, noise, receive

APIS = ('protocol', 'buffered', 'sock', 'streams')
LISTEN = 'tcp://127.0.0.1:0'
WANTED = os.environ.get('WEIR_FAULTS', '')
AT_ONCE = 12  # cases; most of their time is waiting
ATTEMPTS = 64  # to accept, in one turn

# The errors of the manuals. EAGAIN and EINTR have rows of their own.
DESCRIPTOR = 'EBADF ENOTSOCK'
MEMORY = 'ENOMEM ENOBUFS'
SHORTAGE = 'EMFILE ENFILE ENOMEM'
NETWORK = 'ENETDOWN EHOSTDOWN EHOSTUNREACH ENETUNREACH'
ACCEPT_OF_ONE = f'ECONNABORTED EPROTO ENOPROTOOPT ENONET EPERM {NETWORK}'
ACCEPT = f'{SHORTAGE} ENOBUFS {DESCRIPTOR} EFAULT EINVAL EOPNOTSUPP'
RECEIVE = f'ECONNRESET ECONNREFUSED ETIMEDOUT EHOSTUNREACH {DESCRIPTOR} EFAULT EINVAL ENOMEM ENOTCONN'
SEND = (f'EPIPE ECONNRESET EACCES EALREADY EDESTADDRREQ EISCONN EMSGSIZE EOPNOTSUPP ETIMEDOUT {DESCRIPTOR} EFAULT EINVAL '
        f'{MEMORY} ENOTCONN')
CONTROL = 'ENOMEM ENOSPC EBADF EEXIST EINVAL ELOOP ENOENT EPERM'
WAIT = 'EBADF EFAULT EINVAL'
OPTION = f'ENOPROTOOPT {DESCRIPTOR} EFAULT EINVAL'
NAME = f'ENOBUFS {DESCRIPTOR} EFAULT EINVAL'
BIND = f'EADDRINUSE EADDRNOTAVAIL EACCES {DESCRIPTOR} EINVAL EFAULT ENOMEM'
CONNECT = ('ECONNREFUSED ETIMEDOUT ENETUNREACH EHOSTUNREACH EACCES EPERM EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN '
           f'EISCONN EPROTOTYPE ECONNRESET {DESCRIPTOR} EFAULT')
CLOSE = 'EIO EINTR ENOSPC EDQUOT'


@dataclasses.dataclass(frozen=True)
class Case:
    verb: str  # echo with an API, relay, or ping
    api: str
    call: str
    error: str
    when: str  # strace's: 2 the second one; 2+ from then on
    outcome: str
    says: str

    @property
    def name(self):
        when = self.when.replace('+', '_on').replace('..', '_to_')
        return '_'.join(filter(None, (self.verb, self.api, self.call, self.error, when)))

    def strace(self, record):
        """`record`: where each such call leaves a line."""
        when = self.when.replace('loaded', str(closes_of_loading() + 1))
        # A sanitizer writes to pipes of its own whenever it looks whether memory can be read.
        which = ('-P', 'anon_inode:[eventfd]') if self.call == 'write' else ()
        return ('strace', '-D', '-f', '--seccomp-bpf', '-qqq', '-o', record, *which, '-e', f'trace={self.call}', '-e',
                f'inject={self.call}:error={self.error}:when={when}', '--')

    @property
    def words(self):
        """What is written about it: the words of the table, or the call and the error."""
        return self.says or f'{self.call}.*{re.escape(os.strerror(getattr(errno, self.error)))}'


# Call, errors, when, what becomes of it, and the words that stderr must have about it. Of a call that the
# program makes for several ends, `when` picks the end; `loaded` is the first after what loading the program takes.
ECHO = [
    # Starting: a line that names the call and the error, and exit status 1.
    ('epoll_create1', SHORTAGE + ' EINVAL', '1 1+', 'refuses', ''),
    ('eventfd2', SHORTAGE + ' EINVAL ENODEV', '1 1+', 'refuses', 'eventfd: '),
    ('epoll_ctl', CONTROL, '1 1+', 'refuses', ''),
    ('socket', f'{SHORTAGE} ENOBUFS EACCES EAFNOSUPPORT EINVAL EPROTONOSUPPORT', '2 2+', 'refuses', ''),
    ('socket', f'{SHORTAGE} EAFNOSUPPORT', '1', 'unharmed', ''),  # the look whether there is IPv6
    ('bind', BIND, '1 1+', 'refuses', r'bind 127\.0\.0\.1:0: '),
    ('listen', f'EADDRINUSE {DESCRIPTOR} EOPNOTSUPP', '1 1+', 'refuses', ''),
    ('setsockopt', OPTION, '1 1+', 'refuses', 'set_reuse_address: '),
    ('getsockname', NAME, '1+', 'refuses', 'local_address: '),
    # Waiting.
    ('epoll_wait', 'EINTR', '1 2 1..5', 'unharmed', ''),
    ('epoll_wait', WAIT, '2 3 2+', 'ends', 'epoll_wait: '),
    # Accepting. What concerns one connection is no reason to look away from the listener.
    ('accept4', f'{ACCEPT_OF_ONE} EINTR', '1 2 1..3', 'unharmed', ''),
    ('accept4', ACCEPT_OF_ONE, '1+', 'deaf', 'accept'),
    ('accept4', ACCEPT, '2', 'unharmed or paused', 'accept'),
    ('accept4', ACCEPT, '1+', 'deaf', 'accept'),
    # Receiving and sending: an end of one connection.
    ('recvfrom', RECEIVE, '1 2', 'drops one', ''),
    ('recvfrom', RECEIVE, '1+', 'drops all', ''),
    ('recvfrom', 'EINTR', '1 2 1..5', 'unharmed', ''),
    ('sendto', SEND, '1 2', 'drops one', ''),
    ('sendto', SEND, '1+', 'drops all', ''),
    ('sendto', 'EINTR', '1 2 1..5', 'unharmed', ''),
    # A system that has said so tells when there is more to be had: only a further event ends the wait.
    ('recvfrom', 'EAGAIN', '1', 'waits for news', ''),
    ('sendto', 'EAGAIN', '1', 'waits for news', ''),
    # Letting go.
    ('epoll_ctl', 'ENOENT EBADF EPERM', '4', 'unharmed', ''),
    ('close', CLOSE, 'loaded+', 'never lets go', ''),
    ('write', 'EAGAIN EINVAL EBADF', '1+', 'unharmed', ''),  # the wake of the signal handler
]
PROTOCOLS = [
    ('setsockopt', OPTION, '2', 'unharmed', ''),  # no delay, which not every stream has
    ('epoll_ctl', CONTROL, '2', 'refuses', 'accept: '),
    ('epoll_ctl', CONTROL, '3', 'drops one', ''),
    ('epoll_ctl', CONTROL, '3+', 'drops all', ''),
]
SOCK = [
    ('setsockopt', OPTION, '2', 'drops one', ''),
    ('setsockopt', OPTION, '2+', 'drops all', ''),
    ('epoll_ctl', CONTROL, '2+', 'limps', 'cannot accept'),
]
FLOOD = [  # a client that sends much before it reads: what the system does not take is queued
    ('sendmsg', SEND, '1', 'cuts the flood', ''),
    ('sendto', SEND, '20', 'cuts the flood', ''),
    ('sendmsg', 'EINTR', '1', 'carries the flood', ''),
    ('sendto', 'EINTR', '20..24', 'carries the flood', ''),
    ('recvfrom', 'EINTR', '20..24', 'carries the flood', ''),
]
RELAY = [
    ('shutdown', f'ENOTCONN {DESCRIPTOR} EINVAL', '1', 'drops one', 'write_eof 127'),
    ('connect', CONNECT, '1', 'drops one', 'create_connection 127'),
    ('connect', CONNECT, '1+', 'drops all', 'create_connection 127'),
    ('socket', f'{SHORTAGE} EACCES', '3', 'drops one', 'socket: '),
    ('epoll_pwait2', 'ENOSYS EPERM EINTR', '1', 'unharmed', ''),
    ('epoll_pwait2', WAIT, '1', 'ends', 'epoll_wait: '),
]
PING = [
    ('socket', f'{SHORTAGE} EACCES EAFNOSUPPORT', '2 2+', 'refuses', ''),
    ('connect', CONNECT, '1 2 1+', 'refuses', r'create_connection 127\.0\.0\.1:\d+: '),
    ('connect', 'EINTR EALREADY EINPROGRESS', '1', 'refuses', 'time'),  # it was kept from the kernel: nobody will answer
    ('getsockopt', OPTION, '1 1+', 'refuses', r'create_connection 127\.0\.0\.1:\d+: '),
    ('getpeername', NAME, '1+', 'refuses', r'create_connection 127\.0\.0\.1:\d+: '),
    ('setsockopt', OPTION, '1+', 'unharmed', ''),
    ('epoll_ctl', CONTROL, '2 2+', 'refuses', r'create_connection 127\.0\.0\.1:\d+: '),
    ('epoll_pwait2', 'ENOSYS EPERM', '1 1+', 'unharmed', ''),
    ('epoll_pwait2', 'EINTR', '1 1..4', 'unharmed', ''),
    ('epoll_pwait2', WAIT, '1 3 1+', 'refuses', 'epoll_wait: '),
    ('recvfrom', RECEIVE, '1 4 1+', 'refuses', 'recv 127'),
    ('recvfrom', 'EINTR', '1 1..4', 'unharmed', ''),
    ('sendto', SEND, '1 4 1+', 'refuses', 'send 127'),
    ('sendto', 'EINTR', '1 1..4', 'unharmed', ''),
    ('close', CLOSE, 'loaded+', 'unharmed', ''),
]


def table():
    rows = [('echo', (api,), row) for api in APIS for row in ECHO] if WANTED else [('echo', APIS, row) for row in ECHO]
    rows += [('echo', ('protocol', 'buffered', 'streams'), row) for row in PROTOCOLS] + [('echo', ('sock',), row) for row in SOCK]
    rows += [('echo', ('protocol',), row) for row in FLOOD]
    rows += [('relay', ('',), row) for row in RELAY] + [('ping', ('',), row) for row in PING]
    for number, (verb, apis, (call, errors, whens, outcome, says)) in enumerate(rows):
        cases = [Case(verb, api, call, error, when, outcome, says)
                 for api in apis for error in errors.split() for when in whens.split()]
        if not WANTED:
            cases = [case for case in cases if case.error == errors.split()[0] and case.api == apis[number % len(apis)]]
        for case in cases:
            if WANTED in ('', 'all') or WANTED in case.name:
                yield case


# --- What is done with the program

def environment():
    """The leak detector cannot work beside a tracer."""
    own = ':'.join(filter(None, (os.environ.get('ASAN_OPTIONS'), 'detect_leaks=0')))
    return {**os.environ, 'ASAN_OPTIONS': own}


class Faulty(Server):
    """A verb that listens, under strace, which leaves it our own child."""

    def __init__(self, case, *arguments):
        self.record = tempfile.NamedTemporaryFile()
        super().__init__(*arguments, under=case.strace(self.record.name), environment=environment())
        self.descriptors = self.count_descriptors()

    def count_descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def count_calls(self, which=''):
        return count_calls(self.record, which)

    def talk(self, patience=LIMIT):
        """One client: 'well', 'cut' when it lost the connection, 'silence' when nothing came for so long."""
        try:
            with self.connect() as connection:
                connection.settimeout(patience)
                for message in (b'one', b'two two'):
                    connection.sendall(message)
                    if receive(connection, len(message)) != message:
                        return 'cut'
                connection.shutdown(socket.SHUT_WR)
                return 'well' if connection.recv(1) == b'' else 'more'
        except TimeoutError:
            return 'silence'
        except OSError:
            return 'cut'

    def flood(self):
        """A client that sends until nobody takes any more, and reads then: 'well' or 'cut'."""
        piece, sent, came = noise(1 << 16), 0, 0
        try:
            with self.connect() as connection:
                while select.select([], [connection], [], 0.1)[1]:
                    sent += connection.send(piece[sent % len(piece):], socket.MSG_DONTWAIT)
                connection.shutdown(socket.SHUT_WR)
                while data := connection.recv(len(piece) - came % len(piece)):
                    if data != piece[came % len(piece):][:len(data)]:
                        return 'wrong'
                    came += len(data)
                return 'well' if came == sent else 'cut'
        except TimeoutError:
            return 'silence'
        except OSError:
            return 'cut'


@functools.cache
def closes_of_loading():
    with tempfile.NamedTemporaryFile() as record:
        subprocess.run(['strace', '-D', '-f', '-qqq', '-o', record.name, '-e', 'trace=close', WEIR, '--help'],
                       stdin=subprocess.DEVNULL, capture_output=True, check=True, env=environment())
        return count_calls(record)


def count_calls(record, which=''):
    with open(record.name) as lines:
        return sum(which in line for line in lines)


def check(condition, *facts):
    if not condition:
        raise AssertionError(facts)


def eventually(condition, *facts):
    """Waits for what the program does by itself."""
    end = time.monotonic() + LIMIT
    while not condition():
        check(time.monotonic() < end, *facts)
        time.sleep(0.005)


def run_to_end(case, arguments):
    with tempfile.NamedTemporaryFile() as record:
        process = subprocess.run([*case.strace(record.name), WEIR, *arguments], stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True, timeout=LIMIT, env=environment())
        check(count_calls(record, 'INJECTED') > 0, 'no error was injected')
    return process.returncode, process.stderr


def refused(case, arguments):
    status, err = run_to_end(case, arguments)
    check(status == 1 and err.startswith(f'weir {case.verb}: ') and err.count('\n') == 1, status, err)
    check(re.search(case.words, err), err)


def end_well(case, server, reports=''):
    """It is alive, holds nothing that it should not, and ends as told."""
    if case.call != 'close':
        eventually(lambda: server.count_descriptors() <= server.descriptors, 'leaked')
    server.interrupt()
    status, _, err = server.end()
    check(status == 130, status, err)
    # A loop that is awake already needs no wake.
    check(case.call == 'write' or server.count_calls('INJECTED') > 0, 'no error was injected')
    check('Sanitizer' not in err and 'runtime error' not in err, err)
    check(re.search(reports, err) if reports else err == '', err)
    return err


def serve(case, arguments):
    with Faulty(case, *arguments) as server:
        SERVING[case.outcome](case, server)


def unharmed(case, server):
    answers = [server.talk() for _ in range(3)]
    check(answers == ['well'] * 3, answers)
    end_well(case, server)


def unharmed_or_paused(case, server):
    """The second accept looks whether there is more: who comes next may have to wait, and it is said."""
    answers = [server.talk() for _ in range(3)]
    check(answers == ['well'] * 3, answers)
    err = end_well(case, server, 'accept')
    check(err.count('accept: ') + err.count('cannot accept') == 1 and os.strerror(getattr(errno, case.error)) in err, err)


def drops_one(case, server):
    answers = [server.talk() for _ in range(3)]
    check(answers.count('cut') == 1 and answers.count('well') == 2, answers)
    end_well(case, server, case.says)


def drops_all(case, server):
    answers = [server.talk() for _ in range(3)]
    check(answers == ['cut'] * 3, answers)
    end_well(case, server, case.says)


def deaf(case, server):
    """Nobody is let in. It says so no more often than once a second, and does nothing else."""
    check(server.talk(patience=0.3) == 'silence')
    err = end_well(case, server, case.says)
    # No more than a turn's attempts each second; on a busy machine there may have been some.
    check(server.count_calls() <= 5 * ATTEMPTS, 'spins')
    check(1 <= err.count(os.strerror(getattr(errno, case.error))) <= 5, err)


def cuts_the_flood(case, server):
    check(server.flood() == 'cut')
    check(server.talk() == 'well')
    end_well(case, server)


def carries_the_flood(case, server):
    check(server.flood() == 'well')
    end_well(case, server)


def never_lets_go(case, server):
    """The close is kept from the kernel, so the descriptors stay, and the clients see no end."""
    clients = []
    for _ in range(3):
        clients.append(server.connect())
        clients[-1].sendall(b'one')
        check(receive(clients[-1], 3) == b'one')
        clients[-1].shutdown(socket.SHUT_WR)
    eventually(lambda: server.count_calls('INJECTED') >= len(clients), 'no error was injected')
    end_well(case, server)
    for client in clients:
        client.close()


def limps(case, server):
    """What is there when it looks is served; it looks once a second, and says so."""
    check(server.talk(patience=0.1) != 'more')
    end_well(case, server, case.says)
    check(server.count_calls() <= 10, 'spins')


def waits_for_news(case, server):
    with server.connect() as connection:
        connection.sendall(b'one')
        came = b''
        connection.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            came = connection.recv(3)  # it was the first look, before there was anything to be had
        connection.settimeout(LIMIT)
        connection.sendall(b'two')
        check(came + receive(connection, 6 - len(came)) == b'onetwo')
    check(server.talk() == 'well')
    end_well(case, server)


def ends(case, server):
    server.talk()
    status, _, err = server.end()
    check(status == 1 and re.search(case.words, err.splitlines()[-1]), status, err)
    check('Sanitizer' not in err and 'runtime error' not in err, err)


SERVING = {
    'unharmed': unharmed,
    'unharmed or paused': unharmed_or_paused,
    'drops one': drops_one,
    'drops all': drops_all,
    'deaf': deaf,
    'limps': limps,
    'never lets go': never_lets_go,
    'cuts the flood': cuts_the_flood,
    'carries the flood': carries_the_flood,
    'waits for news': waits_for_news,
    'ends': ends,
}


def play(case, target):
    if case.verb == 'ping':
        arguments = ['ping', target, '--count', '20', '--connections', '2', '--timeout', '1s']
        if case.outcome == 'refuses':
            refused(case, arguments)
        else:
            status, err = run_to_end(case, arguments)
            check((status, err) == (0, ''), status, err)
        return
    arguments = ['relay', LISTEN, target] if case.verb == 'relay' else ['echo', LISTEN, '--api', case.api]
    if 'flood' in case.outcome:
        arguments += ['--max-read', '8192']  # so that there are several pieces to send
    (refused if case.outcome == 'refuses' else serve)(case, arguments)


# --- The tests: all are begun together, and each tells about its own

def can_trace():
    return shutil.which('strace') is not None and subprocess.run(
        ['strace', '-D', '-f', '--seccomp-bpf', '-o', '/dev/null', '-e', 'trace=close', 'true'], stdin=subprocess.DEVNULL,
        capture_output=True).returncode == 0


@unittest.skipUnless(can_trace(), 'strace')
class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.healthy = Server('echo', LISTEN)
        cls.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        cls.playing = {case.name: cls.pool.submit(play, case, cls.healthy.target) for case in CASES}

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown()
        with cls.healthy:
            cls.healthy.interrupt()
            check(cls.healthy.end() == (130, '', ''))


CASES = list(table())
for one in CASES:
    setattr(Faults, 'test_' + one.name, lambda self, name=one.name: self.playing[name].result())

if __name__ == '__main__':
    main()
