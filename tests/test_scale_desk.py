"""The desk of a run on many machines: leave, budget and answers, whoever falls silent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionfactory.clients import ChatReply
from fusionfactory.errors import CallError, ClusterError
from fusionfactory.pricing import CallPrice
from fusionfactory.scale.desk import Desk, Orders
from fusionfactory.scale.line import Line, SharedLimits
from fusionfactory.scale.messages import Delivery, News, Opened, Return, Want
from fusionfactory.scale.telling import raised

if TYPE_CHECKING:
    from collections.abc import Awaitable

COST_USD = 2e-6
REPLY = ChatReply("yes", "stop", 1, 1, 0.1)


def desk_for(
    count: int, concurrency: int = 2, budget_usd: float | None = None, lease_s: float = 15.0
) -> Desk:
    orders = Orders(
        {"e": {"concurrency": concurrency}},
        np.zeros(count, np.int32),
        [CallPrice("m", input_price=1.0, output_price=1.0)],
        np.zeros(count, np.int32),
        budget_usd,
    )
    return Desk(orders, lease_s)


def delivery(number: int, error: CallError | None = None, model: str = "m") -> Delivery:
    return Delivery(number, model, None if error else REPLY, error)


async def hears(desk: Desk, worker: str) -> News:
    """What the worker hears once what is under way has happened."""
    await asyncio.sleep(0.01)
    return await desk.hear(worker)


def test_leave_goes_to_as_many_as_the_endpoint_bears() -> None:
    async def body() -> None:
        desk = desk_for(10)
        await desk.open("a", range(5))
        await desk.open("b", range(5, 10))
        await desk.tell("a", [Want(0, "e", 0.0), Want(1, "e", 0.0), Want(2, "e", 0.0)])
        await desk.tell("b", [Want(0, "e", 0.0)])
        assert (await hears(desk, "a")).grants == (0, 1)
        assert (await hears(desk, "b")).grants == ()
        await desk.tell("a", [Return(0), Return(1)])
        assert (await hears(desk, "a")).grants == (2,)
        assert (await hears(desk, "b")).grants == (0,)

    asyncio.run(body())


def test_what_a_silent_worker_holds_is_free_after_a_while() -> None:
    async def body() -> None:
        desk = desk_for(10, concurrency=1, lease_s=0.1)
        await desk.open("a", range(5))
        await desk.tell("a", [Want(0, "e", 0.0), Want(1, "e", 0.0)])
        assert (await hears(desk, "a")).grants == (0,)
        await desk.open("b", range(5, 10))
        await desk.tell("b", [Want(0, "e", 0.0)])
        news = News()
        while not news.grants:
            news = await desk.hear("b")
        assert news.grants == (0,)
        # The other one was only slow: it has to ask anew, and what it delivers counts.
        assert (await desk.hear("a")).forgotten
        await desk.tell("a", [Return(0), delivery(0), Want(1, "e", 0.0)])
        assert [paid.delivery.number for paid in await desk.answers(0.1)] == [0]
        assert (await hears(desk, "a")).grants == ()
        await desk.tell("b", [Return(0)])
        assert (await hears(desk, "a")).grants == (1,)

    asyncio.run(body())


def test_who_takes_a_batch_over_asks_for_the_rest_and_the_former_stops() -> None:
    async def body() -> None:
        desk = desk_for(6, concurrency=1)
        await desk.open("a", range(4))
        await desk.tell("a", [Want(0, "e", 0.0)])
        await desk.tell("a", [Return(0), delivery(1), Want(1, "e", 0.0)])
        assert await desk.open("b", range(4)) == Opened((0, 2, 3), ())
        await desk.tell("b", [Want(0, "e", 0.0)])
        assert (await hears(desk, "b")).grants == (0,)
        assert (await desk.hear("a")).drop
        # What the former delivers all the same is paid, and counts once.
        await desk.tell("a", [delivery(2), Want(2, "e", 0.0)])
        await desk.tell("b", [delivery(2), Return(0)])
        assert [paid.delivery.number for paid in await desk.answers(0.1)] == [1, 2]
        assert (await desk.hear("a")) == News(drop=True)
        # It was not dead: of the next batch that it takes on, its calls are made.
        await desk.open("a", range(4, 6))
        await desk.tell("a", [Want(3, "e", 0.0)])
        assert (await hears(desk, "a")).grants == (3,)
        # A batch that is done may be lost and done again; who did it first has another by now.
        await desk.close("b")
        await desk.open("c", range(4))
        await desk.open("b", range(5, 6))
        await desk.open("d", range(4))
        assert not (await hears(desk, "b")).drop
        assert (await hears(desk, "c")).drop

    asyncio.run(body())


def test_calls_over_which_worker_after_worker_dies_end_the_run() -> None:
    async def body() -> None:
        desk = desk_for(6)
        for number in range(5):
            assert len((await desk.open(f"{number}", range(3))).numbers) == 3
        # An answer shows that it is not the calls.
        await desk.tell("4", [delivery(0)])
        for number in range(5, 10):
            assert (await desk.open(f"{number}", range(3))).numbers == (1, 2)
        assert (await desk.open("10", range(3))).numbers == ()
        _, fault = await desk.closing()
        assert fault is not None
        with pytest.raises(ClusterError, match="5 workers died over the same calls"):
            raise raised(fault)

    asyncio.run(body())


def test_an_answer_that_spends_the_budget_lets_no_waiting_call_start() -> None:
    async def body() -> None:
        desk = desk_for(10, concurrency=1, budget_usd=0.5 * COST_USD)
        await desk.open("a", range(10))
        await desk.tell("a", [Want(0, "e", 0.0), Want(1, "e", 0.0)])
        assert (await hears(desk, "a")).grants == (0,)
        await desk.tell("a", [Return(0, succeeded=True), delivery(0)])
        assert await hears(desk, "a") == News(ends=(("e", None),))
        assert await desk.open("b", range(5, 10)) == Opened((), (("e", None),))
        closing, fault = await desk.closing()
        assert closing.stopped == ("the budget of 1e-06 USD is spent",)
        assert fault is None

    asyncio.run(body())


def test_who_wants_to_try_again_after_the_end_is_told_of_it_again() -> None:
    async def body() -> None:
        desk = desk_for(10)
        await desk.open("a", range(10))
        await desk.tell("a", [Want(0, "e", 0.0)])
        assert (await hears(desk, "a")).grants == (0,)
        await desk.stop("interrupted")
        assert await hears(desk, "a") == News(ends=(("e", None),))
        await desk.tell("a", [Return(0, overloaded=True), Want(1, "e", 0.0)])
        assert await hears(desk, "a") == News(ends=(("e", None),))

    asyncio.run(body())


def test_a_budget_that_the_last_answer_spends_stops_nothing() -> None:
    async def body() -> None:
        desk = desk_for(1, budget_usd=0.5 * COST_USD)
        await desk.open("a", [0])
        await desk.tell("a", [Want(0, "e", 0.0)])
        assert (await hears(desk, "a")).grants == (0,)
        await desk.tell("a", [Return(0), delivery(0)])
        assert (await desk.closing())[0].stopped == ()

    asyncio.run(body())


def test_answers_that_nobody_writes_down_hold_further_calls_back() -> None:
    async def body() -> None:
        desk = desk_for(1_200)
        await desk.open("a", range(1_200))
        await desk.tell("a", [*(delivery(number) for number in range(1_000)), Want(0, "e", 0.0)])
        assert (await hears(desk, "a")).grants == ()
        assert len(await desk.answers(0.1)) == 1_000
        assert (await hears(desk, "a")).grants == ()
        await desk.written(1_000)
        assert (await hears(desk, "a")).grants == (0,)

    asyncio.run(body())


@pytest.mark.parametrize(("status", "end"), [(404, ("e", "m")), (401, ("e", None))])
def test_a_refusal_ends_the_model_or_the_endpoint_and_is_no_answer(
    status: int, end: tuple[str, str | None]
) -> None:
    async def body() -> None:
        desk = desk_for(10)
        await desk.open("a", range(10))
        error = CallError("no", status=status)
        await desk.tell("a", [delivery(0, error), delivery(1, error)])
        assert (await hears(desk, "a")).ends == (end,)
        assert await desk.answers(0.0) == []
        (refusal,) = (await desk.closing())[0].refusals
        assert refusal.status == status

    asyncio.run(body())


def test_a_worker_that_was_taken_for_dead_asks_again_for_what_it_waits_for() -> None:
    async def body() -> None:
        desk = desk_for(4, concurrency=1, lease_s=0.05)
        await desk.open("other", range(2))
        await desk.tell("other", [Want(0, "e", 0.0)])
        assert (await hears(desk, "other")).grants == (0,)
        mute = asyncio.Event()

        def ask(name: str, *facts: Any) -> Awaitable[Any]:  # noqa: ANN401  of the desk
            async def asked() -> Any:  # noqa: ANN401
                if name == "hear":
                    await mute.wait()
                return await getattr(desk, name)(*facts)

            return asked()

        line = Line(ask)
        await line.open(range(2, 4))
        talk = asyncio.create_task(line.talk(lambda _: None, lambda: None))

        async def call() -> str:
            async with SharedLimits(line, "e", 1).slot(1.0):
                return "made"

        calling = asyncio.create_task(call())
        for _ in range(5):
            await asyncio.sleep(0.02)
            await desk.hear("other")
        mute.set()
        await desk.tell("other", [Return(0)])
        assert await asyncio.wait_for(calling, 5.0) == "made"
        talk.cancel()
        await asyncio.gather(talk, return_exceptions=True)

    asyncio.run(body())
