"""Asking a second arm while the first one is silent; the first answer counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fusionfactory.gateway.upstream.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fusionfactory.gateway.upstream.answer import Answer

__all__ = ["LOST", "hedged"]

LOST = "dropped: another arm answered first"


async def hedged(
    first: Coroutine[Any, Any, Answer],
    second: Callable[[], Coroutine[Any, Any, Answer] | None],
    after_s: float,
) -> Answer:
    """The answer that comes first; the other call is cancelled.

    Args:
        first: Asks the first arm.
        second: Makes what asks the next arm; None where there is none. Called once, after a while.
        after_s: Seconds without an answer after which it is.

    Raises:
        Failure: The first one failed before the second was asked, or both did, or the request is
            one that no arm answers.
    """
    loop = asyncio.get_running_loop()
    running = {loop.create_task(first)}
    won: Answer | None = None
    try:
        await asyncio.wait(running, timeout=after_s)
        other = second() if not any(task.done() for task in running) else None
        if other is not None:
            running.add(loop.create_task(other))
        while True:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            # Answers first: none is left behind by a failure that ends the race.
            for task in sorted(done, key=lambda task: task.exception() is not None):
                won = _better(won, task)
            if won is not None:
                return won
            if not running:
                return done.pop().result()
    finally:
        for task in running:
            task.add_done_callback(_drop)
            task.cancel()
        try:
            if running:
                await asyncio.wait(running)
        except asyncio.CancelledError:
            if won is not None:
                won.drop("dropped before it was passed on")
            raise


def _drop(task: asyncio.Task[Answer]) -> None:
    """Whatever a task that lost brought home in the end."""
    if not task.cancelled() and task.exception() is None:
        task.result().drop(LOST)


def _better(won: Answer | None, task: asyncio.Task[Answer]) -> Answer | None:
    """The answer of a task that is done, unless there is one; a second one is dropped."""
    try:
        answer = task.result()
    except Failure as failure:
        if not failure.elsewhere and won is None:
            raise
        return won
    if won is not None:
        answer.drop(LOST)
    return won or answer
