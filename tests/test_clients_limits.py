from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.clients.limits import LONGEST_WAIT_S, Bucket, Limiter
from fusionfactory.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


@dataclass(eq=False)
class FakeTimer:
    callback: Callable[[], object] | None

    def cancel(self) -> None:
        self.callback = None


@dataclass
class FakeClock:
    """Time passes only when the test says so."""

    now: float = 100.0
    timers: list[tuple[float, int, FakeTimer]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self.timers, (self.now + delay, next(self.numbers), timer))
        return timer

    async def pass_s(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers and self.timers[0][0] <= end:
            self.now, _, timer = heapq.heappop(self.timers)
            if timer.callback:
                timer.callback()
            await turns()
        self.now = end


async def turns() -> None:
    """Lets every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Calls:
    """Tasks that take a slot and hold it until they are told to let go."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.begun: list[int] = []
        self.times: list[float] = []
        self.doors: dict[int, asyncio.Future[str]] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def start(self, *names: int, tokens: float = 0.0) -> None:
        for name in names:
            self.doors[name] = asyncio.get_running_loop().create_future()
            self.tasks[name] = asyncio.create_task(self._call(name, tokens))

    async def _call(self, name: int, tokens: float) -> None:
        async with self.limiter.slot(tokens) as slot:
            self.begun.append(name)
            said = await self.doors[name]
            if said == "ok":
                slot.succeeded()
            elif said != "nothing":
                slot.overloaded(float(said))

    async def end(self, *names: int, said: str = "ok") -> None:
        for name in names:
            self.doors[name].set_result(said)
        await turns()

    async def end_all(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def run(test: Callable[[Calls, FakeClock], Coroutine[Any, Any, None]], **limits: Any) -> None:  # noqa: ANN401
    async def body() -> None:
        clock = FakeClock()
        calls = Calls(Limiter(clock=clock, **limits))
        try:
            await test(calls, clock)
        finally:
            await calls.end_all()
        assert calls.limiter.in_flight == 0

    asyncio.run(body())


def test_so_many_at_a_time_in_order_of_arrival() -> None:
    async def test(calls: Calls, _: FakeClock) -> None:
        calls.start(*range(8))
        await turns()
        assert calls.begun == [0, 1, 2]
        await calls.end(1)
        assert calls.begun == [0, 1, 2, 3]
        await calls.end(0, 2)
        assert calls.begun == [0, 1, 2, 3, 4, 5]
        assert calls.limiter.in_flight == 3

    run(test, concurrency=3)


def test_an_overload_halves_once_per_round_trip() -> None:
    async def test(calls: Calls, _: FakeClock) -> None:
        calls.start(*range(16))
        await turns()
        assert len(calls.begun) == 8
        await calls.end(0, 1, 2, said="0")
        assert calls.limiter.limit == 4
        assert calls.limiter.in_flight == 5
        await calls.end(3, 4, 5, 6, 7)
        assert calls.limiter.limit == 4
        assert calls.limiter.in_flight == 4
        await calls.end(calls.begun[-1], said="0")
        assert calls.limiter.limit == 2

    run(test, concurrency=8)


def test_the_limit_never_falls_below_one() -> None:
    async def test(calls: Calls, _: FakeClock) -> None:
        calls.start(*range(5))
        await turns()
        for name in range(4):
            await calls.end(name, said="0")
        assert calls.limiter.limit == 1
        assert calls.begun == [0, 1, 2, 3, 4]

    run(test, concurrency=2)


def test_a_window_of_successes_adds_one_up_to_the_maximum() -> None:
    async def test(calls: Calls, _: FakeClock) -> None:
        calls.start(*range(30))
        await turns()
        await calls.end(0, said="0")
        limits = []
        for name in range(1, 20):
            await calls.end(name)
            limits.append(calls.limiter.limit)
        # Those that began before the cut, 1 to 3, say nothing about the new pace.
        assert limits == [2, 2, 2, 2, 3, 3, 3, *[4] * 12]
        assert calls.limiter.in_flight == 4

    run(test, concurrency=4)


def test_an_attempt_that_says_nothing_changes_nothing() -> None:
    async def test(calls: Calls, _: FakeClock) -> None:
        calls.start(*range(6))
        await turns()
        await calls.end(0, said="0")
        await calls.end(1, 2, 3, 4, 5, said="nothing")
        assert calls.limiter.limit == 2

    run(test, concurrency=4)


def test_everyone_waits_until_the_pause_is_over() -> None:
    async def test(calls: Calls, clock: FakeClock) -> None:
        calls.start(*range(3))
        await turns()
        await calls.end(0, said="30")
        calls.start(3, 4)
        await calls.end(1, 2)
        await clock.pass_s(29.9)
        assert calls.begun == [0, 1, 2]
        await clock.pass_s(0.2)
        assert calls.begun == [0, 1, 2, 3, 4]

    run(test, concurrency=4)


def test_a_longer_pause_counts_and_none_is_endless() -> None:
    async def test(calls: Calls, clock: FakeClock) -> None:
        calls.start(*range(8))
        await turns()
        await calls.end(0, said="30")
        await calls.end(1, said="99999")
        await calls.end(2, said="1")
        await clock.pass_s(LONGEST_WAIT_S - 0.1)
        assert len(calls.begun) == 4
        await calls.end(3)
        await clock.pass_s(0.2)
        assert len(calls.begun) == 6

    run(test, concurrency=4)


def test_requests_per_minute() -> None:
    async def test(calls: Calls, clock: FakeClock) -> None:
        calls.start(*range(200))
        await turns()
        assert len(calls.begun) == 2
        seen = []
        for _ in range(4):
            await clock.pass_s(15.0)
            seen.append(len(calls.begun))
        assert seen == [32, 62, 92, 122]

    run(test, concurrency=500, requests_per_minute=120)


def test_few_requests_per_minute() -> None:
    async def test(calls: Calls, clock: FakeClock) -> None:
        calls.start(*range(9))
        await turns()
        seen = []
        for _ in range(6):
            seen.append(len(calls.begun))
            await clock.pass_s(10.0)
        assert seen == [1, 1, 1, 2, 2, 2]

    run(test, concurrency=500, requests_per_minute=2)


def test_tokens_per_minute_count_a_large_request_in_full() -> None:
    async def test(calls: Calls, clock: FakeClock) -> None:
        calls.start(0, 1, 2, tokens=50.0)
        await turns()
        assert calls.begun == [0]
        await clock.pass_s(4.9)
        assert calls.begun == [0]
        await clock.pass_s(0.2)
        assert calls.begun == [0, 1]
        await clock.pass_s(4.9)
        assert calls.begun == [0, 1, 2]

    run(test, concurrency=500, tokens_per_minute=600)


def test_what_was_really_used_corrects_the_tokens() -> None:
    async def body() -> None:
        clock = FakeClock()
        limiter = Limiter(tokens_per_minute=600, clock=clock)
        calls = Calls(limiter)
        async with limiter.slot(50.0) as slot:
            slot.used(200.0)
        calls.start(0, tokens=1.0)
        await turns()
        await clock.pass_s(18.9)
        assert calls.begun == []
        await clock.pass_s(0.3)
        assert calls.begun == [0]
        async with limiter.slot(0.0) as slot:
            slot.used(-1000.0)
        calls.start(1, 2, tokens=10.0)
        await turns()
        # What was not used comes back, up to a second's worth.
        assert calls.begun == [0, 1]
        await calls.end_all()

    asyncio.run(body())


def test_a_bucket_ends_exactly_where_it_says() -> None:
    bucket = Bucket(70)
    now = 1e6
    for _ in range(1000):
        bucket.take(now, 1.0)
        wait_s = bucket.wait_s(now, 1.0)
        assert wait_s > 0
        now += wait_s
        assert bucket.wait_s(now, 1.0) == 0.0
    assert now - 1e6 == pytest.approx(1000 * 60 / 70, rel=0.01)


def test_cancelled_waiters_leak_nothing() -> None:
    async def test(calls: Calls, _: FakeClock) -> None:
        calls.start(*range(6))
        await turns()
        calls.tasks[2].cancel()
        calls.tasks[3].cancel()
        await turns()
        await calls.end(0)
        assert calls.begun == [0, 1, 4]
        calls.tasks[1].cancel()
        await turns()
        assert calls.begun == [0, 1, 4, 5]
        assert calls.limiter.in_flight == 2

    run(test, concurrency=2)


def test_a_waiter_cancelled_in_the_moment_of_its_turn_passes_it_on() -> None:
    async def test(calls: Calls, _: FakeClock) -> None:
        calls.start(0, 1, 2)
        await turns()
        assert calls.begun == [0]
        calls.doors[0].set_result("ok")
        while not calls.tasks[0].done():
            await asyncio.sleep(0)
        # Now 1 holds a slot and does not know it yet.
        assert calls.begun == [0]
        assert calls.limiter.in_flight == 1
        calls.tasks[1].cancel()
        await turns()
        assert calls.begun == [0, 2]
        assert calls.limiter.in_flight == 1

    run(test, concurrency=1)


def test_the_head_of_the_queue_is_cancelled_during_a_pause() -> None:
    async def test(calls: Calls, clock: FakeClock) -> None:
        calls.start(0)
        await turns()
        await calls.end(0, said="10")
        calls.start(1, 2)
        await turns()
        calls.tasks[1].cancel()
        await clock.pass_s(10.1)
        assert calls.begun == [0, 2]

    run(test, concurrency=4)


def test_random_cancellations_leave_every_slot_free() -> None:
    async def body() -> None:
        limiter = Limiter(5)
        most = Counter[str]()

        async def call(i: int) -> None:
            async with limiter.slot() as slot:
                most["at once"] = max(most["at once"], limiter.in_flight)
                await asyncio.sleep((i * 7919) % 13 / 20_000)
                slot.succeeded() if i % 11 else slot.overloaded()

        tasks = [asyncio.create_task(call(i)) for i in range(400)]
        for i in range(0, 400, 3):
            if i % 2:
                await asyncio.sleep(0)
            tasks[(i * 31) % 400].cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.in_flight == 0
        assert most["at once"] == 5
        assert {type(end) for end in ends} == {type(None), asyncio.CancelledError}
        async with asyncio.timeout(5), limiter.slot():
            assert limiter.in_flight == 1

    asyncio.run(body())


def test_one_limiter_serves_one_loop_after_another() -> None:
    limiter = Limiter(1, requests_per_minute=60_000)

    async def body() -> int:
        done = 0
        for _ in range(3):
            async with limiter.slot():
                done += 1
        return done

    assert [asyncio.run(body()), asyncio.run(body())] == [3, 3]


@pytest.mark.parametrize(
    ("limits", "field_name"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"requests_per_minute": -1.0}, "requests_per_minute"),
        ({"requests_per_minute": 0.0}, "requests_per_minute"),
        ({"tokens_per_minute": float("nan")}, "tokens_per_minute"),
    ],
)
def test_limits_that_are_none(limits: dict[str, Any], field_name: str) -> None:
    with pytest.raises(InputError, match=rf"{field_name}'?: .* expected a positive number"):
        Limiter(**limits)


def test_a_slot_is_taken_at_once_or_not_at_all() -> None:
    async def body() -> None:
        clock = FakeClock()
        limiter = Limiter(2, requests_per_minute=60, clock=clock)
        first = limiter.take()
        assert first is not None
        assert limiter.take() is None, "the limit per minute is reached"
        await clock.pass_s(1.0)
        second = limiter.take()
        assert second is not None
        await clock.pass_s(1.0)
        assert limiter.take() is None, "two are under way"
        waiter = asyncio.create_task(limiter.acquire())
        await turns()
        first.release()
        assert limiter.take() is None, "it is another one's turn"
        (await waiter).release()
        second.release()
        second.overloaded(5.0)
        assert limiter.pause_s == pytest.approx(5.0)
        assert limiter.take() is None, "the endpoint asked for a pause"
        await clock.pass_s(5.0)
        assert limiter.pause_s == 0.0
        third = limiter.take()
        assert third is not None
        third.release()
        assert limiter.in_flight == 0

    asyncio.run(body())
