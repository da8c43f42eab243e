"""Locks, events, semaphores, conditions, barriers, queues: who goes on when, and what a cancellation hands on. Mirrored by sync.cpp."""

import asyncio

from trace import kind, outcome, outcome_of, scenario, settle, trace, turns


def start(loop, names, work, *arguments):
    return [loop.create_task(work(name, *arguments), name=name) for name in names]


async def ends(tasks):
    await settle()
    for task in tasks:
        trace(task.get_name(), await outcome_of(task))


async def holds(name, lock):
    async with lock:
        trace(name, 'holds')
        await asyncio.sleep(0)
        trace(name, 'leaves')


# --- Locks


@scenario
async def a_lock_goes_round(loop):
    lock = asyncio.Lock()
    tasks = start(loop, 'abc', holds, lock)
    turns(loop, 8)
    await asyncio.sleep(0)
    trace(lock.locked())
    await ends(tasks)
    trace(lock.locked())


@scenario
async def a_lock_whose_waiter_is_cancelled(loop):
    for order in ('release cancel', 'cancel release', 'release newcomer cancel', 'cancel newcomer release'):
        trace(order)
        lock = asyncio.Lock()
        await lock.acquire()
        tasks = start(loop, 'ab', holds, lock)
        await asyncio.sleep(0)
        for step in order.split():
            if step == 'release':
                lock.release()
                trace(lock.locked())
            elif step == 'cancel':
                tasks[0].cancel(step)
            else:
                tasks += start(loop, 'c', holds, lock)
                await asyncio.sleep(0)
        await ends(tasks)


@scenario
async def wrong_releases(loop):
    lock = asyncio.Lock()
    trace(outcome(lock.release))
    await lock.acquire()
    tasks = start(loop, 'a', holds, lock)
    await asyncio.sleep(0)
    lock.release()
    trace(outcome(lock.release))
    await ends(tasks)
    trace(outcome(lambda: asyncio.Semaphore(-1)))


# --- Events


@scenario
async def an_event_that_is_cleared_again(loop):
    async def waits(name, event):
        await event.wait()
        trace(name, event.is_set())
    event = asyncio.Event()
    tasks = start(loop, 'abc', waits, event)
    await asyncio.sleep(0)
    tasks[0].cancel()
    turns(loop, 3)
    event.set()
    tasks[1].cancel()
    event.clear()
    tasks += start(loop, 'd', waits, event)
    await asyncio.sleep(0)
    trace('set again')
    event.set()
    await event.wait()
    await ends(tasks)


# --- Semaphores


@scenario
async def a_semaphore_in_turns(loop):
    semaphore = asyncio.Semaphore(2)
    tasks = start(loop, 'abcde', holds, semaphore)
    turns(loop, 8)
    await ends(tasks)
    trace(semaphore.locked())


@scenario
async def a_semaphore_whose_waiters_are_cancelled(loop):
    for order in ('release cancel', 'cancel release', 'release cancel newcomer release', 'release release cancel newcomer'):
        trace(order)
        semaphore = asyncio.Semaphore(0)
        tasks = start(loop, 'ab', holds, semaphore)
        await asyncio.sleep(0)
        for step in order.split():
            if step == 'release':
                semaphore.release()
            elif step == 'cancel':
                tasks[0].cancel(step)
            else:
                tasks += start(loop, 'c', holds, semaphore)
        await ends(tasks)
        trace(semaphore.locked())


# --- Conditions


async def waits_once(name, condition):
    async with condition:
        try:
            await condition.wait()
            trace(name, 'notified', condition.locked())
        except asyncio.CancelledError as e:
            trace(name, kind(e), condition.locked())
            raise


@scenario
async def notified_in_order(loop):
    condition = asyncio.Condition()
    tasks = start(loop, 'abcd', waits_once, condition)
    await asyncio.sleep(0)
    for count in (1, 2, 0, 5):
        trace('notify', count)
        turns(loop, 3)
        async with condition:
            condition.notify(count)
            await asyncio.sleep(0)
        await settle()
    await ends(tasks)
    trace(outcome(condition.notify), outcome(condition.notify_all), await outcome_of(condition.wait()))


@scenario
async def a_wait_that_is_cancelled_holds_the_lock(loop):
    for notified in (False, True):
        condition = asyncio.Condition()
        tasks = start(loop, 'a', waits_once, condition)
        await asyncio.sleep(0)
        async with condition:
            if notified:
                condition.notify()
            tasks[0].cancel('why')
            await settle()
            trace(tasks[0].done())
        await ends(tasks)


@scenario
async def a_notification_that_is_handed_on(loop):
    condition = asyncio.Condition()
    tasks = start(loop, 'ab', waits_once, condition)
    await asyncio.sleep(0)

    async def checks():
        async with condition:
            trace(await condition.wait_for(lambda: value if value == 2 else False))
    value = 0
    checking = loop.create_task(checks(), name='checking')
    await settle()
    for value in (1, 2):
        async with condition:
            condition.notify_all()
        await settle()
    await ends([*tasks, checking])


# --- Barriers


@scenario
async def a_barrier_in_rounds(loop):
    barrier = asyncio.Barrier(3)

    async def comes(name):
        trace(name, 'has number', await barrier.wait())
    for names in ('abc', 'def'):
        tasks = start(loop, names[:2], comes)
        await settle()
        trace(barrier.n_waiting, barrier.broken, barrier.parties)
        turns(loop, 3)
        tasks += start(loop, names[2], comes)
        await ends(tasks)


@scenario
async def a_barrier_that_breaks(loop):
    barrier = asyncio.Barrier(3)

    async def comes(name):
        await barrier.wait()
    tasks = start(loop, 'ab', comes)
    await settle()
    await barrier.abort()
    tasks += start(loop, 'c', comes)
    await ends(tasks)
    trace(barrier.broken, barrier.n_waiting)
    await barrier.reset()
    tasks = start(loop, 'de', comes)
    await settle()
    tasks[0].cancel()
    await settle()
    trace(barrier.n_waiting)
    await barrier.reset()
    await ends(tasks)
    trace(barrier.broken, barrier.n_waiting)


# --- Queues


async def gets(name, queue):
    trace(name, 'got', await queue.get())


async def puts(name, queue):
    await queue.put(name)
    trace(name, 'is in')


@scenario
async def getters_in_order(loop):
    queue = asyncio.Queue()
    tasks = start(loop, 'abc', gets, queue)
    await asyncio.sleep(0)
    turns(loop, 4)
    for item in '123':
        queue.put_nowait(item)
    trace(queue.qsize(), queue.empty())
    await ends(tasks)


@scenario
async def putters_in_order(loop):
    queue = asyncio.Queue(2)
    tasks = start(loop, 'abcde', puts, queue)
    await settle()
    while not queue.empty():
        trace(queue.full(), queue.qsize(), outcome(lambda: queue.put_nowait('x')) if queue.full() else '')
        trace(await queue.get())
        await settle()
    await ends(tasks)
    trace(outcome(queue.get_nowait), queue.maxsize)


@scenario
async def getters_that_are_cancelled(loop):
    for order in ('put cancel', 'cancel put', 'put cancel put', 'put put cancel'):
        trace(order)
        queue = asyncio.Queue()
        tasks = start(loop, 'ab', gets, queue)
        await asyncio.sleep(0)
        for step in order.split():
            if step == 'put':
                queue.put_nowait('item')
            else:
                tasks[0].cancel(step)
        await settle()
        trace(queue.qsize(), *(task.done() for task in tasks))
        queue.put_nowait('last')
        await ends(tasks)


@scenario
async def putters_that_are_cancelled(loop):
    for order in ('get cancel', 'cancel get'):
        trace(order)
        queue = asyncio.Queue(1)
        queue.put_nowait('first')
        tasks = start(loop, 'ab', puts, queue)
        await asyncio.sleep(0)
        for step in order.split():
            if step == 'get':
                trace(queue.get_nowait())
            else:
                tasks[0].cancel(step)
        await ends(tasks)
        trace(queue.qsize(), queue.get_nowait())


@scenario
async def orders_of_queues(loop):
    for queue in (asyncio.Queue(), asyncio.LifoQueue(), asyncio.PriorityQueue()):
        for item in (3, 1, 4, 1, 5, 9, 2, 6):
            queue.put_nowait(item)
        items = []
        while not queue.empty():
            items.append(await queue.get())
        trace(*items)


@scenario
async def joining(loop):
    queue = asyncio.Queue()

    async def joins(name):
        await queue.join()
        trace(name, 'joined')
    tasks = start(loop, 'a', joins)
    await asyncio.sleep(0)
    queue.put_nowait(1)
    queue.put_nowait(2)
    tasks += start(loop, 'bc', joins)
    await settle()
    turns(loop, 3)
    queue.task_done()
    tasks[1].cancel()
    queue.task_done()
    queue.put_nowait(3)
    await ends(tasks)
