"""Futures and tasks: outcomes, who is woken when, names, contexts. Mirrored by tasks.cpp."""

import asyncio
import contextvars

from trace import Oops, kind, outcome, outcome_of, scenario, trace, turns

variable = contextvars.ContextVar('variable', default='unset')


# --- Futures


@scenario
async def callbacks_run_in_order_and_later(loop):
    future = loop.create_future()
    for number in range(3):
        future.add_done_callback(lambda done, number=number: trace('callback', number, done.result()))
    loop.call_soon(trace, 'soon')
    future.set_result('value')
    trace('set', future.done())
    future.add_done_callback(lambda _: trace('added late'))
    trace(await future)
    future.add_done_callback(lambda _: trace('added later'))
    await asyncio.sleep(0)
    trace('end')


@scenario
async def callbacks_that_are_removed(loop):
    future = loop.create_future()

    def first(_):
        trace('first')

    def second(_):
        trace('second')
    future.add_done_callback(first)
    future.add_done_callback(second)
    trace(future.remove_done_callback(first) == 1, future.remove_done_callback(first) == 1)
    future.set_result(None)
    trace(future.remove_done_callback(second) == 1)
    await asyncio.sleep(0)


@scenario
async def callbacks_that_change_callbacks(loop):
    future = loop.create_future()

    def last(_):
        trace('last')

    def first(_):
        trace('first', future.remove_done_callback(last) == 1)
        future.add_done_callback(lambda _: trace('added'))
    future.add_done_callback(first)
    future.add_done_callback(last)
    turns(loop, 3)
    future.set_result(None)
    for _ in range(3):
        await asyncio.sleep(0)


@scenario
async def a_callback_that_throws(loop):
    future = loop.create_future()

    def fail(_):
        raise Oops('callback')
    future.add_done_callback(fail)
    future.add_done_callback(lambda _: trace('goes on'))
    future.set_result(1)
    trace(await future)
    await asyncio.sleep(0)


@scenario
async def wrong_states(loop):
    future = loop.create_future()
    trace(outcome(future.result), outcome(future.exception))
    future.set_result(1)
    trace(outcome(lambda: future.set_result(2)), outcome(lambda: future.set_exception(Oops('late'))))
    trace(future.cancel(), future.cancelled(), future.result(), future.exception())


@scenario
async def cancelled_future(loop):
    future = loop.create_future()
    future.add_done_callback(lambda done: trace('callback', done.cancelled()))
    trace(future.cancel('why'), future.cancel('again'), future.done(), future.cancelled())
    trace(outcome(lambda: future.set_result(1)))
    trace(await outcome_of(future))
    trace(kind(asyncio.CancelledError()) in outcome(future.exception))


@scenario
async def failed_future(loop):
    future = loop.create_future()
    future.set_exception(Oops('failed'))
    trace(await outcome_of(future), await outcome_of(future))
    trace(outcome(future.result), kind(future.exception()), future.cancelled())


@scenario
async def awaiting_what_is_done_gives_way_to_nobody(loop):
    future = loop.create_future()
    future.set_result('value')
    loop.call_soon(trace, 'soon')
    trace(await future)
    trace(await future)
    await asyncio.sleep(0)


@scenario
async def several_wait_for_one_future(loop):
    future = loop.create_future()

    async def wait(name):
        trace(name, await outcome_of(future))
    tasks = [loop.create_task(wait(name)) for name in 'abc']
    await asyncio.sleep(0)
    future.add_done_callback(lambda _: trace('callback'))
    turns(loop, 2)
    future.set_result('woke')
    for task in tasks:
        await task


@scenario
async def nobody_takes_the_exception(loop):
    future = loop.create_future()
    future.set_exception(Oops('never taken'))
    trace('dropped')
    del future
    taken = loop.create_future()
    taken.set_exception(Oops('taken'))
    trace(kind(taken.exception()))
    del taken

    async def fail():
        raise Oops('task')
    task = loop.create_task(fail())
    await asyncio.sleep(0)
    trace('the task is done', task.done())
    del task
    trace('end')


@scenario
async def contexts_of_done_callbacks(loop):
    future = loop.create_future()
    context = contextvars.copy_context()
    context.run(variable.set, 'given')
    variable.set('at the call')
    future.add_done_callback(lambda _: trace(variable.get()))
    future.add_done_callback(lambda _: trace(variable.get()), context=context)
    variable.set('later')
    future.set_result(None)
    await asyncio.sleep(0)


# --- Tasks


@scenario
async def a_task_starts_in_the_next_turn(loop):
    async def work():
        trace('work')
    loop.call_soon(trace, 'before')
    task = loop.create_task(work())
    loop.call_soon(trace, 'behind')
    trace('made')
    await task
    trace('end')


@scenario
async def names(loop):
    async def work():
        return asyncio.current_task().get_name()
    task = loop.create_task(work(), name='given')
    other = loop.create_task(work())
    trace(task.get_name(), other.get_name().startswith('Task-'))
    other.set_name('set')
    trace(await task, await other)


@scenario
async def the_current_task(loop):
    def name_of(task):
        return task.get_name() if task else None

    async def inner():
        return name_of(asyncio.current_task())

    async def outer():
        trace(await inner(), await loop.create_task(inner(), name='inner'), await inner())
    loop.call_soon(lambda: trace('callback', name_of(asyncio.current_task())))
    task = loop.create_task(outer(), name='outer')
    task.add_done_callback(lambda _: trace('done callback', name_of(asyncio.current_task())))
    await task
    await asyncio.sleep(0)


@scenario
async def all_that_run(loop):
    def names():
        return ','.join(sorted(task.get_name() for task in asyncio.all_tasks()))

    async def work(name, future):
        trace(name, 'sees', names())
        await future
    asyncio.current_task().set_name('main')
    futures = [loop.create_future(), loop.create_future()]
    tasks = [loop.create_task(work(name, future), name=name) for name, future in zip('ab', futures)]
    trace(names())
    await asyncio.sleep(0)
    futures[0].set_result(None)
    trace(names())
    await tasks[0]
    trace(names())
    futures[1].cancel()
    await outcome_of(tasks[1])
    trace(names())


@scenario
async def outcomes_of_tasks(loop):
    async def give(value):
        return value

    async def fail():
        raise Oops('task')
    good, bad = loop.create_task(give(5)), loop.create_task(fail())
    trace(outcome(good.result), outcome(bad.exception))
    trace(outcome(lambda: good.set_result(6)), outcome(lambda: bad.set_exception(Oops('set'))))
    trace(await outcome_of(good), await outcome_of(bad), await outcome_of(bad))
    trace(good.cancelled(), bad.cancelled(), good.exception(), outcome(bad.result))


@scenario
async def contexts_of_tasks(loop):
    async def child():
        trace('child', variable.get())
        variable.set('of the child')
        await asyncio.sleep(0)
        trace('child', variable.get())

    async def called():
        variable.set('of what was called')
    variable.set('at create_task')
    task = loop.create_task(child())
    variable.set('later')
    await task
    trace(variable.get())
    await called()
    trace(variable.get())
    context = contextvars.copy_context()
    await loop.create_task(called(), context=context)
    variable.set('mine')
    trace(context[variable], variable.get())


@scenario
async def turns_of_a_chain_of_tasks(loop):
    async def inner():
        trace('inner begins')
        await asyncio.sleep(0)
        trace('inner ends')
        return 1

    async def middle():
        trace('middle begins')
        value = await loop.create_task(inner())
        trace('middle ends')
        return value + 1

    async def outer():
        trace('outer begins')
        value = await loop.create_task(middle())
        trace('outer ends')
        return value + 1
    turns(loop, 8)
    trace(await loop.create_task(outer()))


@scenario
async def turns_of_a_chain_of_coroutines(loop):
    async def inner():
        await asyncio.sleep(0)
        return 1

    async def outer():
        return await inner() + await inner()
    turns(loop, 4)
    trace(await outer())
    task = loop.create_task(outer())
    turns(loop, 4, 11)
    trace(await task)


@scenario
async def sleeps(loop):
    turns(loop, 3)
    await asyncio.sleep(-1)
    trace('a negative one gives way once')
    trace(await asyncio.sleep(0, 'value'))
    trace(await asyncio.sleep(0.001, 'value'))


@scenario
async def callbacks_and_waiters_in_order(loop):
    async def work():
        await asyncio.sleep(0)

    async def wait(name):
        await task
        trace(name)
    task = loop.create_task(work())
    task.add_done_callback(lambda _: trace('first callback'))
    waiter = loop.create_task(wait('waiter'))
    await asyncio.sleep(0)
    task.add_done_callback(lambda _: trace('second callback'))
    await waiter


@scenario
async def a_task_awaits_itself(loop):
    async def work():
        trace(await outcome_of(tasks[0]))
    tasks = [loop.create_task(work())]
    await tasks[0]


@scenario
async def a_task_factory(loop):
    def factory(loop, coro, **options):
        trace('factory')
        return asyncio.Task(coro, loop=loop, **options)

    async def work():
        return asyncio.current_task().get_name()
    loop.set_task_factory(factory)
    task = loop.create_task(work(), name='made by the factory')
    trace('made')
    trace(await task, loop.get_task_factory() is factory)
    loop.set_task_factory(None)
    trace(loop.get_task_factory())
    trace(await loop.create_task(work(), name='made without'))


@scenario
async def ensure_future_keeps_what_is_one(loop):
    async def work():
        return 'work'
    future = loop.create_future()
    task = asyncio.ensure_future(work())
    trace(asyncio.ensure_future(future) is future, asyncio.ensure_future(task) is task, await task)


# --- Executors and other threads


@scenario
async def jobs_of_an_executor(loop):
    def fail():
        raise Oops('job')
    future = loop.run_in_executor(None, lambda: 'value')
    trace('submitted', future.done())
    trace(await future)
    trace(await outcome_of(loop.run_in_executor(None, fail)))
    trace(await asyncio.to_thread(lambda: 'to_thread'))
    await loop.shutdown_default_executor()
    trace(outcome(lambda: loop.run_in_executor(None, fail)))


@scenario
async def a_job_that_is_cancelled(loop):
    future = loop.run_in_executor(None, lambda: 'ignored')
    future.add_done_callback(lambda done: trace('callback', done.cancelled()))
    trace(future.cancel(), future.cancelled())
    trace(await outcome_of(future))
    await asyncio.sleep(0)


@scenario
async def a_coroutine_from_another_thread(loop):
    async def work(fail):
        trace('work')
        await asyncio.sleep(0)
        if fail:
            raise Oops('work')
        return 'value'

    def from_thread(fail):
        return asyncio.run_coroutine_threadsafe(work(fail), loop)
    for fail in (False, True):
        of_thread = await asyncio.to_thread(from_thread, fail)
        trace(await outcome_of(asyncio.wrap_future(of_thread)))
