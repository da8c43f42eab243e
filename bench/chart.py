"""Draws bench/results.svg: how far each is from the hand-written floor. Readable on light and on dark."""

import math


WIDTH, LEFT, RIGHT, STEP = 900, 250, 40, 24
COLOURS = {'weir': 'weir', 'weir_sock': 'sock', 'libuv': 'uv', 'libevent': 'event', 'libev': 'ev', 'asio': 'asio', 'asio_awaitables': 'asio2'}
NAMES = {'weir': 'weir', 'weir_sock': 'weir, coroutines', 'asio_awaitables': 'Asio awaitables', 'asio': 'Asio'}
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px } .small { font-size: 11px; fill: #57606a }
  .card { fill: #ffffff }
  .grid { stroke: #d0d7de; stroke-width: 1 } .floor { stroke: #57606a; stroke-width: 2 }
  .weir { fill: #d1242f } .sock { fill: #bf8700 } .uv { fill: #0969da } .event { fill: #1a7f37 } .ev { fill: #8250df }
  .asio { fill: #57606a } .asio2 { fill: #8c959f }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117 }
    text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #3d444d } .floor { stroke: #9198a1 }
    .weir { fill: #ff7b72 } .sock { fill: #e3b341 } .uv { fill: #58a6ff } .event { fill: #56d364 } .ev { fill: #bc8cff }
    .asio { fill: #9198a1 } .asio2 { fill: #656c76 }
  }
"""


# The first ones matter most; a tick too near to one before it is left out.
TICKS = (1, 10, 0.1, 100, 3, 0.3, 30, 300, 0.03, 0.01, 2, 0.5, 5, 20, 50, 0.2, 1.5, 0.7, 1.2, 0.8, 1.1, 0.9, 1.05, 0.95)


class Axis:
    """Logarithmic, from `least` to `most`, over the plot's width."""

    def __init__(self, least, most):
        self.least, self.most = least, most
        self.ticks = []
        for tick in TICKS:
            if least <= tick <= most and all(abs(self.x(tick) - self.x(other)) >= 45 for other in self.ticks):
                self.ticks.append(tick)

    def x(self, value):
        part = math.log(min(max(value, self.least), self.most) / self.least) / math.log(self.most / self.least)
        return LEFT + part * (WIDTH - LEFT - RIGHT)


def panel(title, note, rows, axis, top):
    """rows: name -> {variant: ratio}. Gives the lines and the height."""
    out = [f'<text class="title" x="16" y="{top + 18}">{title}</text>', f'<text class="small" x="16" y="{top + 36}">{note}</text>']
    first = top + 66
    bottom = first + STEP * len(rows) - STEP / 2
    for tick in axis.ticks:
        kind = 'floor' if tick == 1 else 'grid'
        label = 'floor' if tick == 1 else f'{tick:g}×'
        out.append(f'<line class="{kind}" x1="{axis.x(tick):.1f}" x2="{axis.x(tick):.1f}" y1="{first - STEP / 2}" y2="{bottom}"/>')
        out.append(f'<text class="small" text-anchor="middle" x="{axis.x(tick):.1f}" y="{first - STEP / 2 - 4}">{label}</text>')
    for index, (name, ratios) in enumerate(rows.items()):
        y = first + STEP * index
        out.append(f'<text text-anchor="end" x="{LEFT - 12}" y="{y + 4}">{name}</text>')
        # weir last, so that it lies on top.
        for variant, ratio in sorted(ratios.items(), key=lambda item: item[0].startswith('weir')):
            x, size = axis.x(ratio), 6 if variant == 'weir' else 4.5
            where = f'{NAMES.get(variant, variant)}: {ratio:.2f}× the floor'
            out.append(f'<circle class="{COLOURS[variant]}" cx="{x:.1f}" cy="{y}" r="{size}"><title>{name}, {where}</title></circle>')
    return out, bottom - top + 24


def ratios_of(comparisons, metric):
    rows = {}
    for name, comparison in comparisons.items():
        table = comparison['variants']
        # An option has a floor of its own; the table has it.
        found = {plain: table[variant][metric]['ratio'] for variant in table
                 if (plain := variant.removesuffix('_udp')) in COLOURS and table[variant][metric].get('ratio')}
        if found.get('weir'):
            rows[name] = found
    return rows


def legend(used, top):
    out, x = [], 16
    for variant in (one for one in COLOURS if one in used):
        name = NAMES.get(variant, variant)
        out.append(f'<circle class="{COLOURS[variant]}" cx="{x + 6}" cy="{top}" r="5"/><text x="{x + 16}" y="{top + 4}">{name}</text>')
        x += 40 + 8 * len(name)
    return out


def spread(rows):
    values = [value for ratios in rows.values() for value in ratios.values()]
    return min([0.95, *values]) * 0.97, max([1.05, *values]) * 1.03


def draw(results):
    panels = []
    micro, cpu = ratios_of(results['micro'], 'ns'), ratios_of(results['echo'], 'cpu')
    if micro:
        least, most = spread(micro)
        panels.append(('Inside the process: time of an operation', 'against a hand-written minimum; left is better', micro, Axis(least, most)))
    if cpu:
        least, most = spread(cpu)
        panels.append(('Echo servers: CPU of the server per request', 'against hand-written epoll; left is better', cpu, Axis(least, most)))
    counted = results['instructions']['echo']
    if counted.get('floor') and counted.get('weir'):
        rows = {'TCP 64×1 KiB×1': {name: value / counted['floor'] for name, value in counted.items() if name in COLOURS}}
        least, most = spread(rows)
        panels.append(('Echo servers: user instructions per request', 'against hand-written epoll; left is better', rows, Axis(least, most)))
    body, top, used = [], 40, set()
    for title, note, rows, axis in panels:
        lines, height = panel(title, note, rows, axis, top)
        body += lines
        top += height
        used |= {variant for ratios in rows.values() for variant in ratios}
    body = legend(used, 20) + body
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" width="{WIDTH}" height="{top:.0f}" role="img" '
            f'aria-label="weir and its peers against hand-written floors">\n<style>{STYLE}</style>\n'
            f'<rect class="card" width="100%" height="100%" rx="8"/>\n' + '\n'.join(body) + '\n</svg>\n')
