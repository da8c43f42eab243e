"""The order of callbacks, the loop's start and stop, and what becomes of exceptions. Mirrored by callbacks.cpp."""

import asyncio
import contextvars

from trace import Oops, kind, on_report, outcome, scenario, trace, turns

variable = contextvars.ContextVar('variable', default='unset')


def throw(text):
    raise Oops(text)


# --- Order


@scenario
async def fifo(loop):
    done = loop.create_future()

    def first():
        trace('first')
        loop.call_soon(trace, 'of first')
        loop.call_soon(done.set_result, None)
    loop.call_soon(first)
    loop.call_soon(trace, 'second')
    loop.call_soon(trace, 'third')
    trace('scheduled')
    await done
    trace('end')


@scenario
async def rescheduling_starves_nobody(loop):
    turns(loop, 4)
    loop.call_soon(lambda: loop.call_soon(lambda: loop.call_soon(trace, 'third generation')))
    for number in range(4):
        trace('step', number)
        await asyncio.sleep(0)


@scenario
async def cancel_in_the_same_batch(loop):
    handles = []

    def first():
        trace('first cancels the second')
        handles[1].cancel()
        handles[0].cancel()
        trace(handles[0].cancelled(), handles[1].cancelled(), handles[2].cancelled())
    for callback in (first, lambda: trace('never'), lambda: trace('third')):
        handles.append(loop.call_soon(callback))
    await asyncio.sleep(0)
    handles[2].cancel()
    trace(handles[2].cancelled())


@scenario
async def timers_by_deadline(loop):
    done = loop.create_future()
    now = loop.time()
    loop.call_at(now + 0.006, lambda: (trace('6 ms'), done.set_result(None)))
    loop.call_at(now + 0.002, trace, '2 ms')
    loop.call_at(now + 0.004, trace, '4 ms')
    cancelled = loop.call_at(now + 0.003, trace, 'never')
    loop.call_at(now - 1, trace, 'long ago')
    loop.call_at(now - 2, trace, 'longer ago')
    loop.call_soon(trace, 'soon')
    cancelled.cancel()
    trace(cancelled.cancelled(), cancelled.when() == now + 0.003)
    await done


@scenario
async def due_timers_after_what_is_ready(loop):
    loop.call_later(0, lambda: (trace('timer'), loop.call_soon(trace, 'of the timer')))
    loop.call_soon(lambda: (trace('soon'), loop.call_soon(trace, 'of soon')))
    await asyncio.sleep(0)
    trace('task')
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@scenario
async def timers_of_a_timer(loop):
    def timer():
        trace('timer')
        loop.call_later(0, trace, 'at once')
        loop.call_at(loop.time() - 1, trace, 'in the past')
        turns(loop, 2)
    loop.call_later(0.001, timer)
    await asyncio.sleep(0.003)


@scenario
async def timer_cancelled_by_an_earlier_one(loop):
    now = loop.time()
    done = loop.create_future()
    late = loop.call_at(now - 1, trace, 'never')
    loop.call_at(now - 2, lambda: (trace('cancels'), late.cancel()))
    loop.call_at(now - 0.5, done.set_result, None)
    await done
    trace(late.cancelled())


@scenario
async def threadsafe_from_the_own_thread(loop):
    loop.call_soon(trace, 1)
    loop.call_soon_threadsafe(trace, 2)
    loop.call_soon(trace, 3)
    loop.call_soon_threadsafe(trace, 4)
    trace(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


# --- Context


@scenario
async def context_is_captured_by_the_call(loop):
    variable.set('at call_soon')
    loop.call_soon(lambda: (trace(variable.get()), variable.set('inside')))
    loop.call_soon(lambda: trace(variable.get()))
    variable.set('at call_later')
    loop.call_later(0, lambda: trace(variable.get()))
    variable.set('later')
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    trace(variable.get())


@scenario
async def context_that_is_given(loop):
    context = contextvars.copy_context()
    context.run(variable.set, 'given')
    loop.call_soon(lambda: (trace(variable.get()), variable.set('changed')), context=context)
    loop.call_soon(lambda: trace(variable.get()), context=context)
    loop.call_soon(lambda: trace(variable.get()))
    await asyncio.sleep(0)
    trace(variable.get(), context.run(variable.get))


# --- Running and stopping


@scenario
def stop_before_running(loop):
    loop.call_soon(lambda: (trace('first'), loop.call_soon(trace, 'second')))
    loop.stop()
    loop.run_forever()
    trace('stopped', loop.is_running())
    loop.stop()
    loop.run_forever()
    trace('stopped')


@scenario
def stop_in_a_callback(loop):
    def stopper():
        trace('stop', loop.is_running())
        loop.call_soon(trace, 'next run')
        loop.stop()
    loop.call_soon(stopper)
    loop.call_soon(trace, 'same batch')
    loop.call_soon(lambda: loop.call_soon(trace, 'next run too'))
    loop.run_forever()
    trace('stopped', loop.is_running())
    loop.call_soon(loop.stop)
    loop.run_forever()


@scenario
def stopped_while_a_task_runs(loop):
    async def work():
        trace('begun')
        await asyncio.sleep(0)
        trace('ended')
        return 7
    task = loop.create_task(work())
    loop.call_soon(loop.stop)
    trace(outcome(lambda: loop.run_until_complete(task)))
    trace(task.done())
    trace(outcome(lambda: loop.run_until_complete(task)))
    trace(outcome(lambda: loop.run_until_complete(task)))


@scenario
def run_until_a_done_future(loop):
    future = loop.create_future()
    future.set_result(3)
    loop.call_soon(lambda: (trace('ready'), loop.call_soon(trace, 'later')))
    trace(loop.run_until_complete(future))
    loop.stop()
    loop.run_forever()


@scenario
def exceptions_leave_the_run_call(loop):
    async def fail():
        await asyncio.sleep(0)
        raise Oops('body')
    trace(outcome(lambda: loop.run_until_complete(fail())))
    future = loop.create_future()
    future.cancel('why')
    trace(outcome(lambda: loop.run_until_complete(future)))

    async def work():
        return 'still usable'
    trace(outcome(lambda: loop.run_until_complete(work())))


@scenario
def interrupt_leaves_the_run_call(loop):
    def interrupt():
        trace('interrupt')
        raise KeyboardInterrupt
    loop.call_soon(interrupt)
    loop.call_soon(trace, 'behind it')
    trace(outcome(loop.run_forever), loop.is_running())
    loop.stop()
    loop.run_forever()


@scenario
def running_twice(loop):
    async def work():
        future = loop.create_future()
        trace(outcome(lambda: loop.run_until_complete(future)))
        trace(outcome(loop.close))
        trace(loop.is_running(), loop.is_closed(), asyncio.get_running_loop() is loop)
    loop.run_until_complete(work())
    trace(outcome(lambda: asyncio.get_running_loop() is loop))


@scenario
def closed(loop):
    loop.call_soon(trace, 'never')
    loop.close()
    loop.close()
    trace(loop.is_closed(), loop.is_running())
    trace(outcome(loop.run_forever))
    trace(outcome(lambda: loop.call_soon(trace, 'never')))
    trace(outcome(lambda: loop.call_later(1, trace, 'never')))
    trace(outcome(lambda: loop.call_soon_threadsafe(trace, 'never')))
    trace(outcome(lambda: loop.run_in_executor(None, int)))


# --- run() and Runner


@scenario
def run_ends_what_is_left(loop):
    async def left_over():
        trace('left over begins')
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            trace('left over ends')

    async def items():
        try:
            yield 1
        finally:
            trace('generator ends')

    async def main():
        asyncio.create_task(left_over())
        generators.append(items())
        trace('item', await anext(generators[0]))
        await asyncio.sleep(0)
        trace('main ends')
        return 'value'
    generators = []
    trace(asyncio.run(main()))
    trace(outcome(lambda: asyncio.get_running_loop() is loop))


@scenario
def run_with_an_exception(loop):
    async def failing_cleanup():
        try:
            await asyncio.sleep(60)
        finally:
            raise Oops('cleanup')

    async def main():
        asyncio.create_task(failing_cleanup())
        await asyncio.sleep(0)
        raise Oops('main')
    trace(outcome(lambda: asyncio.run(main())))


@scenario
def run_of_what_is_cancelled(loop):
    async def main():
        asyncio.current_task().cancel('self')
        await asyncio.sleep(60)
    trace(outcome(lambda: asyncio.run(main())))


@scenario
def a_runner_runs_several(loop):
    async def main(name):
        trace(name, variable.get())
        variable.set(name)
        loops.append(asyncio.get_running_loop())
        return name
    loops = []
    with asyncio.Runner() as runner:
        trace(runner.run(main('first')))
        trace(runner.run(main('second')))
        trace(runner.run(main('third'), context=contextvars.copy_context()))
        trace(loops[0] is loops[2], runner.get_loop() is loops[1], loops[0].is_closed())
    trace(outcome(lambda: runner.get_loop() is loop), variable.get())


# --- Exceptions


@scenario
async def exception_in_a_callback(loop):
    loop.call_soon(trace, 'before')
    loop.call_soon(throw, 'soon')
    loop.call_soon(trace, 'behind')
    loop.call_later(0, throw, 'timer')
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    trace('end')


@scenario
async def cancelled_error_in_a_callback(loop):
    def callback():
        raise asyncio.CancelledError('stray')
    loop.call_soon(callback)
    await asyncio.sleep(0)
    trace('end')


@scenario
async def exception_in_the_handler(loop):
    def handler(_, context):
        trace('handler', kind(context['exception']))
        raise Oops('handler')
    loop.set_exception_handler(handler)
    loop.call_soon(throw, 'callback')
    loop.call_soon(trace, 'goes on')
    await asyncio.sleep(0)
    loop.set_exception_handler(on_report)
    loop.call_soon(throw, 'again')
    await asyncio.sleep(0)


@scenario
async def the_default_handler(loop):
    loop.set_exception_handler(None)
    trace(loop.get_exception_handler())
    loop.call_soon(throw, 'callback')
    await asyncio.sleep(0)
    loop.call_exception_handler({'message': 'a message'})
    loop.default_exception_handler({'message': 'another'})


@scenario
async def reports_by_hand(loop):
    loop.call_exception_handler({'message': 'nothing but this'})
    loop.call_exception_handler({'message': 'with', 'exception': Oops('hand')})
    future = loop.create_future()
    loop.call_exception_handler({'message': 'about', 'future': future})
