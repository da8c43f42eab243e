"""Cancelling tasks at awkward moments. Mirrored by cancellation.cpp."""

import asyncio

from trace import Oops, kind, outcome_of, scenario, trace, turns


async def sleeper(name):
    """Tells how its sleep ends."""
    trace(name, 'begins')
    try:
        await asyncio.sleep(60)
    except BaseException as e:
        trace(name, kind(e))
        raise


def state(task):
    return f'done={task.done()} cancelled={task.cancelled()} requests={task.cancelling()}'.lower()


@scenario
async def before_the_first_step(loop):
    task = loop.create_task(sleeper('task'))
    task.add_done_callback(lambda done: trace('callback', done.cancelled()))
    turns(loop, 3)
    trace(task.cancel(), state(task))
    trace(await outcome_of(task))
    trace(state(task))
    await asyncio.sleep(0)


@scenario
async def while_it_sleeps(loop):
    task = loop.create_task(sleeper('task'))
    await asyncio.sleep(0)
    turns(loop, 3)
    trace(task.cancel('why'), state(task))
    trace(await outcome_of(task))
    trace(state(task), task.cancel())


@scenario
async def when_its_future_is_done_already(loop):
    async def work(future):
        trace(await outcome_of(future))
        await asyncio.sleep(0)
        trace('goes on')
    future = loop.create_future()
    task = loop.create_task(work(future))
    await asyncio.sleep(0)
    future.set_result('value')
    trace(task.cancel(), future.cancelled(), future.result())
    trace(await outcome_of(task), state(task))


@scenario
async def after_the_future_was_cancelled(loop):
    future = loop.create_future()

    async def work():
        await future
    task = loop.create_task(work())
    await asyncio.sleep(0)
    trace(future.cancel('by hand'))
    trace(await outcome_of(task), state(task))


@scenario
async def the_future_of_others(loop):
    future = loop.create_future()

    async def work(name):
        trace(name, await outcome_of(future))
    first, second = loop.create_task(work('first')), loop.create_task(work('second'))
    await asyncio.sleep(0)
    trace(first.cancel(), future.cancelled())
    await first
    await second
    trace(state(first), state(second))


@scenario
async def twice_in_one_turn(loop):
    async def work():
        trace(await outcome_of(asyncio.sleep(60)))
        await asyncio.sleep(0)
        trace('only one arrived')
    task = loop.create_task(work())
    await asyncio.sleep(0)
    trace(task.cancel(), task.cancel(), task.cancel())
    trace(await outcome_of(task), state(task))


@scenario
async def again_in_the_cleanup(loop):
    async def work():
        try:
            await sleeper('body')
        finally:
            await sleeper('cleanup')
            trace('never')
    task = loop.create_task(work())
    await asyncio.sleep(0)
    task.cancel('first')
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    trace(state(task))
    task.cancel('second')
    trace(await outcome_of(task), state(task))


@scenario
async def a_cleanup_that_awaits(loop):
    async def work():
        try:
            await sleeper('body')
        finally:
            for step in range(3):
                await asyncio.sleep(0)
                trace('cleanup', step)
    task = loop.create_task(work())
    await asyncio.sleep(0)
    turns(loop, 6)
    task.cancel()
    trace(await outcome_of(task), state(task))


@scenario
async def swallowed(loop):
    async def work():
        trace(await outcome_of(sleeper('work')))
        await asyncio.sleep(0)
        trace('goes on')
        return 'value'
    task = loop.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    trace(await outcome_of(task), state(task))


@scenario
async def turned_into_an_error(loop):
    async def work():
        try:
            await sleeper('work')
        except asyncio.CancelledError:
            raise Oops('instead')
    task = loop.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    trace(await outcome_of(task), state(task))


@scenario
async def taken_back(loop):
    async def work():
        task = asyncio.current_task()
        trace(await outcome_of(asyncio.sleep(60)), task.cancelling())
        trace(task.uncancel(), task.uncancel(), task.uncancel())
        await asyncio.sleep(0)
        return 'value'
    task = loop.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    task.cancel()
    trace(await outcome_of(task), state(task))


@scenario
async def itself_and_then_awaits(loop):
    async def work():
        trace(asyncio.current_task().cancel('self'))
        trace('until the next await')
        trace(await outcome_of(asyncio.sleep(0)))
        await asyncio.sleep(0)
        trace('only one arrived')
    trace(await outcome_of(loop.create_task(work())))


@scenario
async def itself_and_then_awaits_a_future(loop):
    async def work(pending, done):
        asyncio.current_task().cancel('self')
        trace('done', await outcome_of(done))
        trace('pending', await outcome_of(pending), pending.cancelled())
    done = loop.create_future()
    done.set_result('value')
    trace(await outcome_of(loop.create_task(work(loop.create_future(), done))))


@scenario
async def itself_and_then_returns(loop):
    async def work():
        asyncio.current_task().cancel('self')
        return 'lost'
    task = loop.create_task(work())
    trace(await outcome_of(task), state(task))


@scenario
async def itself_and_then_throws(loop):
    async def work():
        asyncio.current_task().cancel('self')
        raise Oops('wins')
    task = loop.create_task(work())
    trace(await outcome_of(task), state(task))


@scenario
async def the_awaiter_of_a_task(loop):
    async def outer(inner):
        try:
            await inner
        except asyncio.CancelledError:
            trace('outer', state(inner))
            raise
    inner = loop.create_task(sleeper('inner'))
    task = loop.create_task(outer(inner))
    await asyncio.sleep(0)
    turns(loop, 4)
    trace(task.cancel(), state(task), state(inner))
    trace(await outcome_of(task), state(task), state(inner))


@scenario
async def the_task_that_is_awaited(loop):
    async def outer(inner):
        trace('outer', await outcome_of(inner))
        return 'value'
    inner = loop.create_task(sleeper('inner'))
    task = loop.create_task(outer(inner))
    await asyncio.sleep(0)
    trace(inner.cancel('why'))
    trace(await outcome_of(task), state(task), state(inner))


@scenario
async def an_inner_task_that_refuses(loop):
    async def stubborn():
        trace(await outcome_of(sleeper('inner')))
        await asyncio.sleep(0)
        return 'value of the inner'

    async def outer(inner):
        return await inner
    inner = loop.create_task(stubborn())
    task = loop.create_task(outer(inner))
    await asyncio.sleep(0)
    task.cancel()
    trace(await outcome_of(task), state(task), state(inner))


@scenario
async def through_nested_coroutines(loop):
    async def level(depth):
        try:
            if depth:
                await level(depth - 1)
            else:
                await asyncio.sleep(60)
        finally:
            trace('leaves', depth)
    task = loop.create_task(level(3))
    await asyncio.sleep(0)
    task.cancel()
    trace(await outcome_of(task))


@scenario
async def in_the_turn_of_its_completion(loop):
    async def work():
        trace('work ends')
        return 'value'
    task = loop.create_task(work())
    loop.call_soon(lambda: trace('cancel', task.cancel(), task.done()))
    trace(await outcome_of(task), state(task))
    other = loop.create_task(work())
    loop.call_soon(lambda: trace('soon'))
    trace(other.cancel())
    trace(await outcome_of(other), state(other))


@scenario
async def by_a_callback_of_what_it_awaits(loop):
    async def outer(name, inner):
        trace(name, await outcome_of(inner))
        await asyncio.sleep(0)
        trace(name, 'goes on')
    for early in (True, False):
        inner = loop.create_future()
        tasks = [loop.create_task(outer('early' if early else 'late', inner))]
        if early:
            inner.add_done_callback(lambda _: trace('cancels', tasks[0].cancel()))
        await asyncio.sleep(0)
        if not early:
            inner.add_done_callback(lambda _: trace('cancels', tasks[0].cancel()))
        inner.set_result('value')
        trace(await outcome_of(tasks[0]), state(tasks[0]))


@scenario
async def by_a_timer(loop):
    task = loop.create_task(sleeper('task'))
    loop.call_later(0.002, task.cancel)
    trace(await outcome_of(task))


@scenario
async def many_at_once(loop):
    tasks = [loop.create_task(sleeper(name)) for name in 'abcd']
    await asyncio.sleep(0)
    for task in reversed(tasks):
        task.cancel()
    turns(loop, 2)
    for task in tasks:
        trace(await outcome_of(task))


@scenario
async def one_cancels_its_neighbour(loop):
    async def killer(victim):
        trace('killer', victim.cancel())

    async def work():
        await future
        trace('never')
    future = loop.create_future()
    victim = loop.create_task(work())
    await asyncio.sleep(0)
    future.add_done_callback(lambda _: trace('callback'))
    # The killer's step lies before the victim's.
    task = loop.create_task(killer(victim))
    future.set_result(None)
    await task
    trace(await outcome_of(victim))


# --- Through chains of tasks


async def follow(name, inner):
    try:
        return await inner
    except asyncio.CancelledError as e:
        trace(name, kind(e))
        raise


@scenario
async def a_chain_whose_end_is_done(loop):
    future = loop.create_future()
    inner = loop.create_task(follow('inner', future))
    outer = loop.create_task(follow('outer', inner))
    await asyncio.sleep(0)
    turns(loop, 4)
    future.set_result('value')
    trace(outer.cancel(), state(inner), state(outer))
    trace(await outcome_of(outer), state(inner), state(outer))


@scenario
async def a_chain_whose_inner_task_is_done(loop):
    future = loop.create_future()
    inner = loop.create_task(follow('inner', future))
    outer = loop.create_task(follow('outer', inner))
    await asyncio.sleep(0)
    # Before the outer task's own wake-up, in the turn in which the inner one ends.
    inner.add_done_callback(lambda _: trace('callback'))
    future.add_done_callback(lambda _: trace(outer.cancel(), inner.done()))
    turns(loop, 4)
    future.set_result('value')
    trace(await outcome_of(outer), state(inner), state(outer))


@scenario
async def a_chain_twice_in_one_turn(loop):
    async def stubborn():
        for number in range(3):
            trace(number, await outcome_of(asyncio.sleep(0 if number else 60)))
        return 'value'
    inner = loop.create_task(stubborn())
    outer = loop.create_task(follow('outer', inner))
    await asyncio.sleep(0)
    trace(outer.cancel(), outer.cancel(), state(inner), state(outer))
    trace(await outcome_of(outer), state(inner), state(outer))


@scenario
async def a_chain_again_in_the_cleanup(loop):
    async def cleaning():
        try:
            await sleeper('inner')
        finally:
            await sleeper('cleanup')
    inner = loop.create_task(cleaning())
    outer = loop.create_task(follow('outer', inner))
    await asyncio.sleep(0)
    outer.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    trace(outer.cancel(), state(inner), state(outer))
    trace(await outcome_of(outer), state(inner), state(outer))


@scenario
async def the_inner_task_of_two(loop):
    inner = loop.create_task(sleeper('inner'))
    tasks = [loop.create_task(follow(name, inner)) for name in ('first', 'second')]
    await asyncio.sleep(0)
    tasks[0].cancel()
    for task in tasks:
        trace(await outcome_of(task), state(task), state(inner))


@scenario
async def requests_that_pile_up(loop):
    async def work():
        for number in range(3):
            trace(number, await outcome_of(asyncio.sleep(60)))
    task = loop.create_task(work())
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
    trace(await outcome_of(task), state(task))
