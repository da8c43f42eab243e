"""gather, wait, as_completed, shield, timeout and TaskGroup: what comes of them, and what happens in one turn. Mirrored by structured.cpp."""

import asyncio
import itertools

from trace import Oops, kind, outcome, outcome_of, scenario, trace


async def get(gate):
    return await gate


async def fail_after(gate, text):
    await gate
    raise Oops(text)


async def stubborn(gate, value):
    try:
        await gate
    except asyncio.CancelledError:
        pass
    return value


def open_gate(gate):
    if not gate.done():
        gate.set_result('opened')


def orders(letters):
    for count in range(1, len(letters) + 1):
        for order in itertools.permutations(letters, count):
            yield ''.join(order)


async def pass_turns():
    for _ in range(5):
        await asyncio.sleep(0)


@scenario
async def gather_in_order(loop):
    first, second = loop.create_future(), loop.create_future()
    together = asyncio.gather(get(first), get(second))
    await asyncio.sleep(0)
    second.set_result('second')
    await pass_turns()
    trace(together.done())
    first.set_result('first')
    trace(*await together)


@scenario
async def gather_and_the_first_failure(loop):
    first, second = loop.create_future(), loop.create_future()
    other = loop.create_task(get(second))
    together = asyncio.gather(fail_after(first, 'of the first'), other)
    await asyncio.sleep(0)
    first.set_result('')
    trace(await outcome_of(together), other.done())
    second.set_result('goes on')
    trace(await outcome_of(other), together.cancelled())


@scenario
async def gather_with_exceptions(loop):
    gate = loop.create_future()
    child = loop.create_task(get(gate))
    together = asyncio.gather(fail_after(gate, 'failed'), child, stubborn(gate, 'well'), return_exceptions=True)
    await asyncio.sleep(0)
    child.cancel()
    await pass_turns()
    trace(*(value if isinstance(value, str) else kind(value) for value in await together))


@scenario
async def gather_cancelled(loop):
    for with_stubborn in (False, True):
        gate = loop.create_future()
        other = loop.create_future()
        children = [loop.create_task(get(gate)), loop.create_task(stubborn(other, 'stays') if with_stubborn else get(other))]
        together = asyncio.gather(*children)
        await asyncio.sleep(0)
        trace(together.cancel())
        trace(await outcome_of(together))
        await pass_turns()
        trace(*[outcome(child.result) for child in children], together.cancel())


@scenario
async def a_cancelled_child_of_gather(loop):
    gate = loop.create_future()
    child, other = loop.create_task(get(gate)), loop.create_future()
    together = asyncio.gather(child, other)
    await asyncio.sleep(0)
    child.cancel('by itself')
    trace(await outcome_of(together), other.done(), child.cancelled())


@scenario
async def wait_and_when_it_returns(loop):
    for when in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED):
        for end in ('value', 'failure', 'cancellation'):
            futures = [loop.create_future() for _ in range(3)]
            waiting = loop.create_task(asyncio.wait(futures, return_when=when))
            await asyncio.sleep(0)
            if end == 'value':
                futures[1].set_result('')
            elif end == 'failure':
                futures[1].set_exception(Oops('failed'))
            else:
                futures[1].cancel()
            await pass_turns()
            trace(end, waiting.done())
            open_gate(futures[0])
            open_gate(futures[2])
            done, pending = await waiting
            trace(len(done), len(pending), *[outcome(future.result) for future in futures])


@scenario
async def as_completed_by_their_ends(loop):
    futures = [loop.create_future() for _ in range(3)]

    async def tell():
        for each in asyncio.as_completed(futures):
            trace(await outcome_of(each))
    telling = loop.create_task(tell())
    await asyncio.sleep(0)
    futures[2].set_result('third')
    futures[0].set_exception(Oops('first'))
    await pass_turns()
    futures[1].cancel()
    await telling


@scenario
async def shield_from_a_cancellation(loop):
    gate = loop.create_future()
    inner = loop.create_task(get(gate))
    outer = loop.create_task(outcome_of(asyncio.shield(inner)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    outer.cancel('outside')
    trace(await outer, inner.done())
    gate.set_result('inside')
    trace(await inner)
    inner = loop.create_task(get(loop.create_future()))
    outer = asyncio.shield(inner)
    await asyncio.sleep(0)
    inner.cancel()
    trace(await outcome_of(outer), outer.cancelled())


# v: the value is there; t: the deadline passes; c: the task is cancelled; all in one callback.
@scenario
async def a_timeout_in_every_order(loop):
    for order in orders('vtc'):
        for name in ('waits', 'insists'):
            gate = loop.create_future()
            scope = asyncio.timeout(None)

            async def work():
                try:
                    async with scope:
                        text = await (stubborn(gate, 'insisted') if name == 'insists' else gate)
                    trace(text)
                except BaseException as e:
                    trace(kind(e))
                trace(await outcome_of(asyncio.sleep(0)))
            task = loop.create_task(work())
            await asyncio.sleep(0)
            steps = {'v': lambda: open_gate(gate), 't': lambda: scope.reschedule(loop.time()), 'c': task.cancel}
            trace('-', name, order)
            for step in order:
                steps[step]()
            await task
            trace(scope.expired(), task.cancelling())


# a, b: a task fails; o: the body goes on to its end.
@scenario
async def a_group_in_every_order(loop):
    for order in orders('abo'):
        gates = {letter: loop.create_future() for letter in 'abo'}
        never = loop.create_future()

        async def work():
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail_after(gates['a'], 'a'))
                    group.create_task(fail_after(gates['b'], 'b'))
                    group.create_task(stubborn(never, ''))
                    await gates['o']
                    trace('the body ends')
            except BaseExceptionGroup as e:
                trace('group', *map(kind, e.exceptions))
            except BaseException as e:
                trace(kind(e))
            trace(await outcome_of(asyncio.sleep(0)))
        task = loop.create_task(work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        trace('-', order)
        for step in order:
            open_gate(gates[step])
        await pass_turns()
        for gate in (never, *gates.values()):
            open_gate(gate)
        await task
        trace(never.cancelled())


@scenario
async def a_group_whose_owner_is_cancelled(loop):
    never = loop.create_future()

    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(get(never))
            await loop.create_future()
    task = loop.create_task(body())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel('outside')
    trace(await outcome_of(task), never.cancelled(), task.cancelling())
