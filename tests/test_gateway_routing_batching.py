"""One thread for all that waits: what it takes at once, and whom it lets go."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from fusionfactory.gateway.routing.batching import Batcher, Unanswered

if TYPE_CHECKING:
    from collections.abc import Sequence


class Work:
    """Doubles numbers, when the gate is open; fails on a 13."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.done: list[list[int]] = []
        self.begun = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.begun.set()
        self.gate.wait(10)
        self.done.append(list(items))
        if 13 in items:
            msg = "thirteen"
            raise ValueError(msg)
        return [2 * item for item in items]


async def begun(work: Work) -> None:
    await asyncio.to_thread(work.begun.wait, 10)


def test_what_waits_is_done_at_once() -> None:
    work = Work()

    async def run() -> list[int]:
        work.gate.clear()
        batcher: Batcher[int, int] = Batcher(work, name="t", most=8)
        first = asyncio.create_task(batcher.ask(0, 10))
        await asyncio.sleep(0)
        await begun(work)
        others = [asyncio.create_task(batcher.ask(i, 10)) for i in range(1, 13)]
        await asyncio.sleep(0)
        work.gate.set()
        results = await asyncio.gather(first, *others)
        batcher.close()
        return results

    assert asyncio.run(run()) == [2 * i for i in range(13)]
    assert [len(items) for items in work.done] == [1, 8, 4]


def test_who_has_left_is_passed_over() -> None:
    work = Work()

    async def run() -> None:
        work.gate.clear()
        batcher: Batcher[int, int] = Batcher(work, name="t")
        tasks = [asyncio.create_task(batcher.ask(0, 10))]
        await asyncio.sleep(0)
        await begun(work)
        tasks += [asyncio.create_task(batcher.ask(i, 10)) for i in (1, 2, 3)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        with pytest.raises(Unanswered, match=r"it took longer than 0.01 s"):
            await batcher.ask(4, 0.01)
        work.gate.set()
        assert await tasks[3] == 6
        batcher.close()

    asyncio.run(run())
    assert work.done == [[0], [1, 3]]


def test_only_so_many_may_wait() -> None:
    work = Work()

    async def run() -> None:
        work.gate.clear()
        batcher: Batcher[int, int] = Batcher(work, name="t", waiting=3)
        tasks = [asyncio.create_task(batcher.ask(0, 10))]
        await asyncio.sleep(0)
        await begun(work)
        tasks += [asyncio.create_task(batcher.ask(i, 10)) for i in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unanswered, match="3 others wait"):
            await batcher.ask(9, 10)
        work.gate.set()
        await asyncio.gather(*tasks)
        assert await batcher.ask(9, 10) == 18
        batcher.close()

    asyncio.run(run())


def test_nobody_waits_behind_work_that_hangs() -> None:
    work = Work()

    async def run() -> None:
        work.gate.clear()
        batcher: Batcher[int, int] = Batcher(work, name="t", patience_s=0.02)
        with pytest.raises(Unanswered, match="it took longer"):
            await batcher.ask(0, 0.05)
        with pytest.raises(Unanswered, match=r"the one before it has taken longer than 0.02 s"):
            await batcher.ask(1, 1000)
        work.gate.set()
        async with asyncio.timeout(10):
            while not work.done:
                await asyncio.sleep(0.001)
        assert await batcher.ask(1, 10) == 2
        batcher.close()

    asyncio.run(run())


def test_a_failure_is_of_one_item_and_says_why() -> None:
    work = Work()

    async def run() -> list[int | BaseException]:
        work.gate.clear()
        batcher: Batcher[int, int] = Batcher(work, name="t")
        tasks = [asyncio.create_task(batcher.ask(i, 10)) for i in (1, 2, 13, 3)]
        await asyncio.sleep(0)
        work.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        batcher.close()
        return results

    one, two, thirteen, three = asyncio.run(run())
    assert (one, two, three) == (2, 4, 6)
    assert isinstance(thirteen, Unanswered)
    assert str(thirteen) == "ValueError: thirteen"


def test_closing_lets_what_waits_through() -> None:
    work = Work()

    async def run() -> None:
        work.gate.clear()
        batcher: Batcher[int, int] = Batcher(work, name="closing")
        tasks = [asyncio.create_task(batcher.ask(i, 10)) for i in range(3)]
        await asyncio.sleep(0)
        batcher.close()
        with pytest.raises(Unanswered, match="it has been closed"):
            await batcher.ask(9, 10)
        work.gate.set()
        assert await asyncio.gather(*tasks) == [0, 2, 4]

    asyncio.run(run())
    for thread in threading.enumerate():
        if thread.name == "closing":
            thread.join(10)
            assert not thread.is_alive()


def test_a_loop_that_has_ended_breaks_nothing() -> None:
    work = Work()
    batcher: Batcher[int, int] = Batcher(work, name="t")

    async def leave() -> None:
        work.gate.clear()
        batcher.submit(1)

    asyncio.run(leave())
    work.gate.set()
    assert asyncio.run(batcher.ask(2, 10)) == 4
    batcher.close()
