"""Turns what was measured into bench/RESULTS.md, and, with chart.py, into bench/results.svg."""

import datetime
import math
import os
import platform
import re
import subprocess

import cells
import chart

HOW = {
    'weir': 'Protocol', 'weir_buffered': 'BufferedProtocol', 'weir_sock': 'coroutines on sock_*', 'weir_streams': 'coroutines on streams',
    'weir_256k': 'Protocol, --max-read 256 KiB', 'weir_busy': 'Protocol, --busy-poll 50us', 'weir_discard': 'Protocol',
    'weir_discard_256k': 'Protocol, --max-read 256 KiB', 'weir_udp': 'DatagramProtocol',
    'weir_tls': 'Protocol', 'weir_tls_streams': 'coroutines on streams',
}
FLOORS = {
    'floor_256k': 'floor with 256 KiB reads', 'floor_discard_256k': 'floor with 256 KiB reads',
    'floor_udp_mmsg': 'floor with recvmmsg and sendmmsg', 'floor_tls_release': 'floor that keeps no buffers of records',
}


def version_of(package):
    done = subprocess.run(['dpkg-query', '-W', '-f=${Version}', package], capture_output=True, text=True)
    return re.sub(r'^\d+:|[-+].*', '', done.stdout) if done.returncode == 0 else None


def machine(root, settings):
    model = re.search(r'model name\s*:\s*(.*)', open('/proc/cpuinfo', encoding='utf-8').read())
    peers = {'libuv': 'libuv1-dev', 'libevent': 'libevent-dev', 'libev': 'libev-dev', 'Asio': 'libasio-dev', 'nginx': 'nginx-light'}
    commit = subprocess.run(['git', '-C', root, 'rev-parse', '--short=12', 'HEAD'], capture_output=True, text=True).stdout.strip()
    return {
        'date': datetime.date.today().isoformat(),
        'commit': commit,
        'processor': model.group(1) if model else platform.processor(),
        'cores': os.cpu_count(),
        'kernel': platform.release(),
        'load': os.getloadavg()[1],
        'peers': {name: found for name, package in peers.items() if (found := version_of(package))},
        'command': settings.command,
    }


def number(value):
    if math.isnan(value):
        return ''
    if value >= 100000:
        return f'{value / 1000:,.0f}k'
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def verdict(target, entry, noise):
    """Did it reach its target? A miss that is smaller than the noise is neither."""
    if target is None:
        return ''
    if target.reached(entry['value'], entry.get('ratio')):
        return 'yes'
    seen = entry['value'] if target.absolute else entry['ratio']
    bound = target.most if target.most is not None else target.least
    off = abs(seen / bound - 1)
    return f'within noise ({off:.1%} off)' if off <= noise else f'no, {off:.0%} off' if off >= 0.095 else f'no, {off:.1%} off'


def noise_of(table, floor, name, metric):
    return max(table[floor][metric].get('spread', 0), table[name][metric].get('spread', 0))


def peers_text(table, metric):
    found = [f'{peer} {table[name][metric]["ratio"]:.2f}' for peer in cells.PEERS for name in (peer, f'{peer}_discard', f'{peer}_udp', f'{peer}_tls')
             if name in table and 'ratio' in table[name][metric]]
    return ', '.join(found)


def echo_table(results, metric, floor_head):
    lines = [f'| row | label | {floor_head} | noise | peers | weir | ratio | target | reached |', '|---|---|--:|--:|---|---|--:|--:|---|']
    rows = {cell.name: cell for cell in cells.echo_cells()}
    for row, comparison in results['echo'].items():
        table, floor, cell = comparison['variants'], comparison['floor'], rows[row]
        before = f'| {row} | {cell.label} | {number(table[floor][metric]["value"])} | ±{table[floor][metric].get("spread", 0):.1%} |'
        for name in table:
            if not name.startswith('weir'):
                continue
            target = target_of(cell, name, metric)
            entry = table[name][metric]
            lines.append(f'{before} {peers_text(table, metric)} | {HOW[name]} | {entry["ratio"]:.3f} | {target.text() if target else ""} '
                         f'| {verdict(target, entry, noise_of(table, floor, name, metric))} |')
        for name in table:
            if name in FLOORS:
                lines.append(f'{before} | *{FLOORS[name]}* | {table[name][metric]["ratio"]:.3f} | | |')
    return lines


def target_of(cell, name, metric):
    return next((one for one in cell.targets.get(name, []) if one.metric == metric), None)


def losses(results):
    """A datagram that is lost holds its client up, so that throughput then says little."""
    lost = [f'{row}, {name}: {table[name]["lost"]["value"]:.0f}' for row, comparison in results['echo'].items()
            for table in [comparison['variants']] for name in table if table[name].get('lost', {}).get('value')]
    return ['', f'Datagrams that did not come back in time, median of a run: {"; ".join(lost)}.'] if lost else []


def files_table(results):
    lines = ['| row | label | who | requests/s | ratio | target | reached | CPU, ns/request | ratio |', '|---|---|---|--:|--:|--:|---|--:|--:|']
    rows = {cell.name: cell for cell in cells.file_cells()}
    for row, comparison in results['files'].items():
        table, floor, cell = comparison['variants'], comparison['floor'], rows[row]
        for name, entry in table.items():
            rate, cpu = entry['rate'], entry['cpu']
            target = target_of(cell, name, 'rate')
            ratio, share = (f'±{one.get("spread", 0):.1%}' if name == floor else f'{one["ratio"]:.3f}' for one in (rate, cpu))
            lines.append(f'| {row} | {cell.label} | {"weir serve" if name == "weir" else name} | {number(rate["value"])} | {ratio} '
                         f'| {target.text() if target else ""} | {verdict(target, rate, noise_of(table, floor, name, "rate"))} '
                         f'| {number(cpu["value"])} | {share} |')
    return lines


def micro_target(row):
    return cells.SPINNING_TARGET if row.endswith('spinning') else cells.MICRO_TARGETS.get(row)


def micro_table(results):
    lines = ['| row | label | floor, ns | noise | peers, ns | weir, ns | ratio | target | reached | allocations | instructions, floor → weir |',
             '|---|---|--:|--:|---|--:|--:|--:|---|--:|--:|']
    counted = results['instructions']['micro']
    for row, comparison in results['micro'].items():
        table, floor = comparison['variants'], comparison['floor']
        for name in table:
            if not name.startswith('weir'):
                continue
            entry, target = table[name]['ns'], micro_target(row)
            peers = ', '.join(f'{peer} {number(table[peer]["ns"]["value"])}' for peer in cells.PEERS if peer in table)
            allocations = table[name]['allocations']['value']
            pair = [counted.get(f'{row}/{one}') for one in ('floor', 'weir')]
            both = f'{number(pair[0])} → {number(pair[1])}' if None not in pair and ' ' not in row else ''
            lines.append(f'| {row} | house | {number(table[floor]["ns"]["value"])} | ±{table[floor]["ns"].get("spread", 0):.1%} | {peers} '
                         f'| {number(entry["value"])} | {entry["ratio"]:.2f} | {target.text() if target else ""} '
                         f'| {verdict(target, entry, noise_of(table, floor, name, "ns"))} '
                         f'| {"0" if allocations < 0.0005 else f"{allocations:.3f}"} | {both} |')
    return lines


def plain_table(head, rows, targets):
    """Of figures that repeat exactly: name -> (values)."""
    lines = [f'| who | {" | ".join(head)} | target | reached |', '|---|' + '--:|' * len(head) + '--:|---|']
    for name, values in rows.items():
        target = targets.get(name)
        said = verdict(target, {'value': max(values)}, 0)
        who = f'weir, {HOW[name]}' if name in HOW else name
        lines.append(f'| {who} | {" | ".join(number(value) for value in values)} | {target.text() if target else ""} | {said} |')
    return lines


def markdown(results):
    about = results['machine']
    peers = ', '.join(f'{name} {version}' for name, version in about['peers'].items())
    lines = [
        '# Results', '',
        f'Written by `{about["command"]}` on {about["date"]} at {about["commit"]}. [README.md](README.md) says what each row means and how',
        'it is measured.', '',
        f'{about["processor"]}, {about["cores"]} cores, Linux {about["kernel"]}, load average {about["load"]:.1f} when it began; {peers}.', '',
        'Ratios are to the floor, the hand-written minimum, in the runs around each; medians. *Noise* is the floor against itself (half the',
        'distance of the quartiles). A miss that is smaller than the noise is called so.', '',
    ]
    if results['echo']:
        lines += ['## Echo servers: throughput', '', 'Requests a second; a ratio above 1 is better.', '',
                  *echo_table(results, 'rate', 'floor, requests/s'), '',
                  '## Echo servers: CPU', '', 'Nanoseconds of the server per request; a ratio below 1 is better.', '',
                  *echo_table(results, 'cpu', 'floor, ns/request'), *losses(results), '']
    if results['files']:
        lines += ['## Static files', '', 'Ratios are to nginx; its own is the noise.', '', *files_table(results), '']
    if results['instructions']['echo']:
        lines += ['## Echo servers: user instructions per request', '', 'TCP 64×1 KiB×1, counted by callgrind.', '',
                  *plain_table(['instructions'], {name: (value,) for name, value in results['instructions']['echo'].items()},
                               cells.INSTRUCTION_TARGETS), '']
    if results['instructions']['udp']:
        lines += ['## Echo servers: user instructions per datagram', '', 'UDP 64×1 KiB×1, counted by callgrind.', '',
                  *plain_table(['instructions'], {name: (value,) for name, value in results['instructions']['udp'].items()}, {}), '']
    kinds = ('tls', 'tls_full', 'tls_resumed')
    counted = {name: [results['instructions'][kind].get(name, math.nan) for kind in kinds]
               for name in cells.TLS_SERVERS if any(name in results['instructions'][kind] for kind in kinds)}
    if counted:
        lines += ['## Echo servers: user instructions by TLS', '', 'TLS 64×1 KiB×1 and handshakes, counted by callgrind; most are OpenSSL\'s.', '',
                  *plain_table(['per request', 'full handshake', 'resumed handshake'], counted, {}), '']
    if results['idle']:
        lines += ['## Idle connections: heap bytes each', '', 'Label endpoints. 10,000 connections, as malloc rounds.', '',
                  *plain_table(['never used', 'after one echo'], results['idle'], cells.IDLE_TARGETS), '']
    if results['micro']:
        lines += ['## Inside the process', '', 'Nanoseconds per operation; a ratio below 1 is better. Allocations are per operation, of weir.', '',
                  *micro_table(results), '']
    return '\n'.join(lines[:-1] if lines[-1] == '' else lines) + '\n'


def write(results, folder):
    (folder / 'RESULTS.md').write_text(markdown(results), encoding='utf-8')
    (folder / 'results.svg').write_text(chart.draw(results), encoding='utf-8')
