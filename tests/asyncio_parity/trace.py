"""Python's side of the scenarios: the trace, and the program that runs them. trace.hpp is its mirror.

Usage: trace.py [SCENARIO...]     no scenario: all. Each begins with the line `== group/name`; `--list` prints the names only.
"""

import asyncio
import importlib
import inspect
import logging
import re
import sys

GROUPS = ('callbacks', 'tasks', 'cancellation', 'generators', 'streams', 'flow', 'readers', 'sockets', 'structured', 'sync')
scenarios = {}


def scenario(function):
    """A coroutine function gets its loop running; a plain one gets a loop that it runs itself."""
    scenarios[f'{function.__module__}/{function.__name__}'] = function
    return function


class Oops(Exception):
    """What the scenarios throw themselves; its text is part of the trace, unlike those of the libraries."""


def text(value):
    if value is None:
        return 'none'
    if isinstance(value, bool):
        return 'true' if value else 'false'
    return str(value)


def trace(*parts):
    print(*map(text, parts))


def kind(exception):
    if exception is None:
        return 'none'
    message = str(exception) if isinstance(exception, (Oops, asyncio.CancelledError)) else ''
    return type(exception).__name__ + (f'({message})' if message else '')


def outcome(function):
    try:
        return text(function())
    except BaseException as e:
        return kind(e)


async def outcome_of(awaitable):
    try:
        return text(await awaitable)
    except BaseException as e:
        return kind(e)


def turns(loop, count, first=1):
    """Traces that many turns of the loop as they begin."""
    def turn():
        trace('turn', first)
        turns(loop, count - 1, first + 1)
    if count:
        loop.call_soon(turn)


async def settle():
    """Lets what is under way arrive, so that a scenario can show that nothing more came."""
    for _ in range(50):
        await asyncio.sleep(0)


def message_of(context):
    message = context.get('message', '')
    if message.startswith('Exception in callback'):
        return 'Exception in callback'
    if message == 'unhandled exception during asyncio.run() shutdown':
        return 'unhandled exception while a task was cancelled at the end of run()'
    if message.startswith('an error occurred during closing of asynchronous generator'):
        return 'an error occurred during the closing of an asynchronous generator'
    return message


def on_report(_, context):
    about = [name for name in ('transport', 'protocol') if context.get(name) is not None]
    if context.get('future') or context.get('task'):
        about.append('future')
    trace('report:', message_of(context), '|', kind(context.get('exception')), *about)


class LogLines(logging.Handler):
    def emit(self, record):
        line = record.getMessage().splitlines()[0]
        trace('logged:', message_of({'message': re.sub(r'<.*', '', line)}))


def run(function):
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(on_report)
    try:
        if inspect.iscoroutinefunction(function):
            loop.run_until_complete(function(loop))
            loop.run_until_complete(loop.shutdown_asyncgens())
        else:
            function(loop)
    except BaseException as e:
        trace('escaped:', kind(e))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor()) if not loop.is_closed() else None
        loop.close()


def main():
    for group in GROUPS:
        importlib.import_module(group)
    names = sys.argv[1:]
    sys.stdout.reconfigure(line_buffering=True)
    if names == ['--list']:
        print(*scenarios, sep='\n')
        return
    logger = logging.getLogger('asyncio')
    logger.addHandler(LogLines(logging.ERROR))
    logger.propagate = False
    for name in names or scenarios:
        print('==', name)
        run(scenarios[name])


if __name__ == '__main__':
    # The groups import this module: let them find this very one.
    sys.modules['trace'] = sys.modules['__main__']
    main()
