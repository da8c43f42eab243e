"""Asynchronous generators: iterating, closing, and being dropped half-way. Mirrored by generators.cpp."""

import asyncio

from trace import Oops, kind, outcome_of, scenario, trace, turns


async def count(name, end):
    """Tells how it is left, and awaits while it leaves."""
    trace(name, 'begins')
    try:
        for number in range(end):
            await asyncio.sleep(0)
            yield number
    except BaseException as e:
        trace(name, kind(e))
        await asyncio.sleep(0)
        trace(name, 'cleaned up')
        raise
    trace(name, 'ends')


async def following(generator):
    """The next item, or -1 at the end."""
    return await anext(generator, -1)


@scenario
async def iterated_to_the_end(loop):
    generator = count('generator', 3)
    trace('made')
    async for number in generator:
        trace('item', number)
    trace(await following(generator), await following(generator))


@scenario
async def turns_of_an_iteration(loop):
    async def immediate():
        for number in range(3):
            yield number
    turns(loop, 5)
    async for number in immediate():
        trace('immediate', number)
    async for number in count('generator', 3):
        trace('awaited', number)


@scenario
async def closed_half_way(loop):
    generator = count('generator', 3)
    trace(await following(generator))
    trace(await outcome_of(generator.aclose()))
    trace(await outcome_of(generator.aclose()))
    trace(await following(generator))


@scenario
async def closed_before_it_began(loop):
    generator = count('generator', 3)
    trace(await outcome_of(generator.aclose()))
    trace(await following(generator))


@scenario
async def closed_after_its_end(loop):
    generator = count('generator', 1)
    trace(await following(generator), await following(generator))
    trace(await outcome_of(generator.aclose()))


@scenario
async def an_exception_of_its_body(loop):
    async def failing():
        yield 1
        await asyncio.sleep(0)
        raise Oops('body')
    generator = failing()
    trace(await following(generator))
    trace(await outcome_of(following(generator)))
    trace(await outcome_of(following(generator)))
    trace(await outcome_of(generator.aclose()))


@scenario
async def an_exception_of_its_cleanup(loop):
    async def failing():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            raise Oops('cleanup')
    generator = failing()
    trace(await following(generator))
    trace(await outcome_of(generator.aclose()))
    trace(await following(generator))


@scenario
async def swallows_the_closing(loop):
    async def swallowing():
        try:
            yield 1
        except GeneratorExit:
            trace('swallowed')
    generator = swallowing()
    trace(await following(generator))
    trace(await outcome_of(generator.aclose()), await following(generator))


@scenario
async def yields_while_it_is_closed(loop):
    async def stubborn():
        try:
            yield 1
        except GeneratorExit:
            trace('yields again')
            yield 2
    generator = stubborn()
    trace(await following(generator))
    trace(await outcome_of(generator.aclose()))


@scenario
async def iterated_by_two_tasks(loop):
    generator = count('generator', 3)
    first, second = loop.create_task(following(generator)), loop.create_task(following(generator))
    trace(await outcome_of(first), await outcome_of(second))
    trace(await following(generator))
    await generator.aclose()


@scenario
async def closed_while_it_is_iterated(loop):
    generator = count('generator', 3)
    task = loop.create_task(following(generator))
    await asyncio.sleep(0)
    trace(await outcome_of(generator.aclose()))
    trace(await outcome_of(task))
    await generator.aclose()


@scenario
async def cancelled_while_it_is_iterated(loop):
    generator = count('generator', 3)

    async def iterate():
        async for number in generator:
            trace('item', number)
    task = loop.create_task(iterate())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel('why')
    trace(await outcome_of(task))
    trace(await following(generator))


@scenario
async def dropped_half_way(loop):
    async def early_break():
        async for number in count('generator', 3):
            trace('item', number)
            break
        trace('left the iteration')
    await early_break()
    for _ in range(5):
        await asyncio.sleep(0)
    trace('end')


@scenario
async def dropped_with_a_failing_cleanup(loop):
    async def failing():
        try:
            yield 1
        finally:
            raise Oops('cleanup')
    generator = failing()
    trace(await following(generator))
    del generator
    for _ in range(5):
        await asyncio.sleep(0)
    trace('end')


@scenario
async def dropped_before_it_began(loop):
    generator = count('generator', 3)
    del generator
    for _ in range(5):
        await asyncio.sleep(0)
    trace('end')


@scenario
async def closed_by_the_loop(loop):
    generator = count('generator', 3)
    trace(await following(generator))
    trace(await outcome_of(loop.shutdown_asyncgens()))
    trace(await following(generator))


@scenario
async def closed_by_the_loop_with_a_failing_cleanup(loop):
    async def failing():
        try:
            yield 1
        finally:
            raise Oops('cleanup')
    generator = failing()
    trace(await following(generator))
    trace(await outcome_of(loop.shutdown_asyncgens()))
    trace(await following(generator))


@scenario
async def one_inside_another(loop):
    async def outer():
        try:
            async for number in inner:
                yield 10 * number
        finally:
            trace('outer leaves')
            await inner.aclose()
    inner = count('inner', 5)
    generator = outer()
    trace(await following(generator), await following(generator))
    await generator.aclose()
    trace(await following(inner))
