"""What is compared: the servers, the cells of load, the rows of the micro program, and the ratio that each is to reach.

The targets are those that the project agreed on, as ratios to the hand-written floor in the same rounds.
"""

import dataclasses
import pathlib

MIB = 1024 * 1024
PEERS = ('libuv', 'libevent', 'libev', 'asio', 'asio_awaitables')
TLS_SERVERS = ('floor_tls', 'floor_tls_release', 'weir_tls', 'weir_tls_streams', 'libevent_tls', 'asio_tls')


@dataclasses.dataclass
class Target:
    """`most` is an upper bound (time, CPU, instructions, bytes), `least` a lower one (throughput); of `metric`."""
    metric: str
    most: float = None
    least: float = None
    absolute: bool = False  # a bound of the value itself, not of its ratio to the floor

    def text(self):
        sign, bound = ('≤', self.most) if self.most is not None else ('≥', self.least)
        return f'{sign} {bound:g}' if self.absolute else f'{sign} {bound:.2f}×'

    def reached(self, value, ratio):
        seen = value if self.absolute else ratio
        return seen <= self.most if self.most is not None else seen >= self.least


@dataclasses.dataclass
class Cell:
    """One work of the load generator, and who does it. The first of `servers` is the floor."""
    name: str
    connections: int
    size: int
    depth: int = 1
    count: int = 0  # 0: by time
    work: str = ''  # an option of the load generator: --one-way, --udp, --churn, --tls…; connections that echo unless given
    label: str = 'house'
    rounds: float = 1  # times the usual number
    quick: bool = True
    servers: tuple = ()
    targets: dict = dataclasses.field(default_factory=dict)  # server -> [Target]
    seconds: float = 1.0

    def options(self):
        how_long = ['--count', self.count] if self.count else ['--seconds', self.seconds]
        return ['--connections', self.connections, '--size', self.size, '--depth', self.depth, *how_long, *self.work.split()]

    def warm(self):
        return ['--connections', min(self.connections, 16), '--size', self.size, '--count', 16, *self.work.split()]


@dataclasses.dataclass
class FileCell:
    """The work of wrk: so many connections, kept alive, ask for one file of so many bytes again and again. nginx is the reference."""
    name: str
    connections: int
    size: int
    label: str = 'endpoints'
    servers: tuple = ('nginx', 'weir')
    targets: dict = dataclasses.field(default_factory=dict)
    seconds: int = 2  # wrk counts whole ones


def both(throughput, cpu):
    return [Target('rate', least=throughput), Target('cpu', most=cpu)]


def echo_cells():
    small = {'weir': both(1.00, 1.00), 'weir_buffered': both(1.00, 1.00), 'weir_sock': both(0.98, 1.02),
             'weir_streams': both(0.98, 1.02)}
    everyone = ('floor', 'weir', 'weir_buffered', 'weir_sock', 'weir_streams', *PEERS)
    large = ('floor', 'floor_256k', 'weir', 'weir_256k', 'weir_buffered', *PEERS)
    datagrams = {'servers': ('floor_udp', 'floor_udp_mmsg', 'weir_udp', *(f'{peer}_udp' for peer in PEERS)),
                 'targets': {'weir_udp': both(1.02, 0.98)}, 'work': '--udp', 'label': 'endpoints'}
    secret = {'servers': TLS_SERVERS, 'label': 'tls'}
    return [
        Cell('TCP 1×64 B×1', 1, 64, servers=everyone, targets={'weir': both(0.99, 1.00), 'weir_buffered': both(0.99, 1.00)}),
        Cell('TCP 1×64 B×1, busy polling', 1, 64, servers=('floor_spin', 'weir_busy'),
             targets={'weir_busy': [Target('rate', least=0.95)]}),
        Cell('TCP 64×64 B×1', 64, 64, servers=everyone, targets=small, quick=False),
        Cell('TCP 64×1 KiB×1', 64, 1024, servers=everyone, targets=small),
        Cell('TCP 64×1 KiB×16', 64, 1024, depth=16, servers=everyone, targets=small, quick=False),
        Cell('TCP 1000×1 KiB×1', 1000, 1024, rounds=3, servers=everyone, targets=small, quick=False),
        Cell('TCP 16×64 KiB×1', 16, 64 * 1024, servers=large, targets={'weir_256k': both(1.05, 0.97)}),
        Cell('2 GiB echoed on one connection', 1, 64 * 1024, depth=16, count=2048 * 16, servers=large,
             targets={'weir_256k': both(1.10, 0.82)}, quick=False),
        Cell('6 GiB one way into a discarding server', 1, MIB, count=6 * 1024, work='--one-way', quick=False,
             servers=('floor_discard', 'floor_discard_256k', 'weir_discard', 'weir_discard_256k',
                      *(f'{peer}_discard' for peer in PEERS)),
             targets={'weir_discard': both(1.00, 1.00)}),
        Cell('connection churn 64×64 B', 64, 64, work='--churn', label='endpoints', servers=everyone,
             targets={name: both(1.00, 1.00) for name in small}, quick=False),
        Cell('UDP 64×64 B×1', 64, 64, quick=False, **datagrams),
        Cell('UDP 64×1 KiB×1', 64, 1024, **datagrams),
        Cell('TLS 64×1 KiB×1', 64, 1024, work='--tls', targets={'weir_tls': both(0.99, 1.01)}, **secret),
        Cell('TLS handshakes, full', 16, 64, work='--tls-full', targets={'weir_tls': both(1.01, 1.00)}, **secret),
        Cell('TLS handshakes, resumed', 16, 64, work='--tls-resumed', targets={'weir_tls': both(1.01, 1.00)}, **secret),
        Cell('TLS, 1 GiB echoed on one connection', 1, 64 * 1024, depth=16, count=1024 * 16, work='--tls', quick=False, **secret),
    ]


def file_cells():
    return [FileCell('static file 64 KiB, 64 connections', 64, 64 * 1024, targets={'weir': [Target('rate', least=1.00)]})]


INSTRUCTION_TARGETS = {name: Target('instructions', most=most, absolute=True)
                       for name, most in (('weir', 170), ('weir_buffered', 170), ('weir_sock', 260), ('weir_streams', 260))}


@dataclasses.dataclass
class Counted:
    """Work of the load generator of which instructions are counted: of so many requests, and of twice as many."""
    servers: tuple
    work: str = ''
    connections: int = 64
    size: int = 1024
    requests: int = 16000


COUNTED = {
    'echo': Counted(('floor', 'weir', 'weir_buffered', 'weir_sock', 'weir_streams', *PEERS)),
    'udp': Counted(('floor_udp', 'floor_udp_mmsg', 'weir_udp', *(f'{peer}_udp' for peer in PEERS)), '--udp'),
    'tls': Counted(TLS_SERVERS, '--tls', requests=4000),
    'tls_full': Counted(TLS_SERVERS, '--tls-full', connections=16, size=64, requests=100),
    'tls_resumed': Counted(TLS_SERVERS, '--tls-resumed', connections=16, size=64, requests=100),
}
IDLE = ('weir', 'weir_buffered', 'weir_sock', 'weir_streams', *PEERS)
IDLE_TARGETS = {name: Target('bytes', most=most, absolute=True)
                for name, most in (('weir', 250), ('weir_sock', 700), ('weir_streams', 700))}
# A buffer of their own is most of what these have; 4 KiB is what their examples take.
IDLE_ARGUMENTS = {'asio': ['4096'], 'asio_awaitables': ['4096']}

# Row of the micro program -> target, from nanoseconds measured beside a floor in nanoseconds.
MICRO_TARGETS = {
    'post_chain': Target('ns', most=4 / 2.0),
    'post_chain_poll': Target('ns', most=1.12),
    'post_batch': Target('ns', most=4 / 3.0),
    'xthread_post': Target('ns', most=14 / 31),
    'xthread_rtt': Target('ns', most=1.00),
    'timer_add': Target('ns', most=10 / 8.5),
    'timer_cancel': Target('ns', most=12 / 16),
    'timer_fire': Target('ns', most=130 / 142),
    'timer_reset': Target('ns', most=1.5 / 1.7),
    'task_spawn': Target('ns', most=22 / 19),
    'task_join1': Target('ns', most=28, absolute=True),
    'task_pingpong': Target('ns', most=22 / 7.8),
    'task_yield': Target('ns', most=7 / 3.2),
    'task_cancel': Target('ns', most=2500 / 1300),
    'proc_spawn': Target('ns', most=1.02),
    'proc_spawn_2gib': Target('ns', most=1.02),
}
SPINNING_TARGET = Target('ns', most=1000, absolute=True)
# They may allocate: a frame, the exception that ends a task; how far behind the consumer is; a child.
MAY_ALLOCATE = ('task_spawn', 'task_cancel', 'xthread_post', 'proc_spawn', 'proc_spawn_2gib')


def servers(build):
    """Name -> command line."""
    bench, weir = pathlib.Path(build) / 'bench', str(pathlib.Path(build) / 'tools' / 'weir')
    anywhere, larger = 'tcp://127.0.0.1:0', str(256 * 1024)
    floor, udp_floor = str(bench / 'echo_floor'), str(bench / 'echo_udp_floor')
    every = {
        'floor': [floor],
        'floor_256k': [floor, larger],
        'floor_spin': [floor, '--spin'],
        'floor_discard': [floor, '--discard'],
        'floor_discard_256k': [floor, larger, '--discard'],
        'weir': [weir, 'echo', anywhere],
        'weir_buffered': [weir, 'echo', anywhere, '--api', 'buffered'],
        'weir_sock': [weir, 'echo', anywhere, '--api', 'sock'],
        'weir_streams': [weir, 'echo', anywhere, '--api', 'streams'],
        'weir_busy': [weir, 'echo', anywhere, '--busy-poll', '50us'],
        'weir_256k': [weir, 'echo', anywhere, '--max-read', larger],
        'weir_discard': [weir, 'discard', anywhere],
        'weir_discard_256k': [weir, 'discard', anywhere, '--max-read', larger],
        'floor_udp': [udp_floor],
        'floor_udp_mmsg': [udp_floor, '--mmsg'],
        'weir_udp': [weir, 'echo', 'udp://127.0.0.1:0'],
    }
    for name in PEERS:
        program = bench / f'echo_{name}'
        if program.exists():
            every |= {name: [str(program)], f'{name}_discard': [str(program), '--discard'],
                      f'{name}_udp': [str(bench / f'echo_udp_{name}')]}
    return every | tls_servers(bench, weir, str(certificate(build)))


def tls_servers(bench, weir, pem):
    """None in a build without TLS."""
    if not (bench / 'tls_certificate').exists():
        return {}
    by_tls = [weir, 'echo', 'tls://127.0.0.1:0', '--cert', pem, '--key', pem]
    others = (('floor_tls', 'floor'), ('floor_tls_release', 'floor', '--release'), ('libevent_tls', 'libevent'), ('asio_tls', 'asio'))
    return {'weir_tls': by_tls, 'weir_tls_streams': [*by_tls, '--api', 'streams']} | {
        name: [str(bench / f'echo_tls_{program}'), pem, *options]
        for name, program, *options in others if (bench / f'echo_tls_{program}').exists()}


def certificate(build):
    """The file that all TLS servers of a run read: a certificate and its key, written by the program tls_certificate."""
    return pathlib.Path(build) / 'bench' / 'tls.pem'
