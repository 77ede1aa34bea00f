"""The calls that a plan makes for a request: each within the key's limits, each charged."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from fusionfactory.gateway.access.spent import spent
from fusionfactory.gateway.log.record import Record, Said
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.surface.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.gateway import Gateway
    from fusionfactory.gateway.surface.form import Request

__all__ = ["Calls"]

_PAUSE_S = 1.0
"""Longest pause before an arm is asked again where others are asked with it, and wait for it."""

_OF_A_STREAM = frozenset({"stream", "stream_options"})
_BROKEN = 500


class Calls:
    """Asks arms for whole answers, as one request after another would.

    Args:
        gateway: Its parts.
        client: Who asks. The first call was admitted with the request.
        request: What is asked.
        record: Of the request; gets the attempts, and the time that they took.

    Attributes:
        said: Arm to what it answered.
        bodies: Arm to its whole answer.
        cost_usd: Of all calls; None where that of an answer is unknown.
        limit: Why the key allows no further call; None while it does.
        failed: Why the arms that gave no answer did not: the first that took the request to be at
            fault, or else the last one.
    """

    def __init__(self, gateway: Gateway, client: Client, request: Request, record: Record) -> None:
        self._gateway, self._client = gateway, client
        self._request, self._record = request, record
        body = request.body
        self._body = {name: body[name] for name in body if name not in _OF_A_STREAM}
        now = asyncio.get_running_loop().time()
        self._until = now + gateway.settings.upstream.deadline_s
        self._made = 0
        self.said: dict[str, Said] = {}
        self.bodies: dict[str, dict[str, Any]] = {}
        self.cost_usd: float | None = 0.0
        self.limit: Refusal | None = None
        self.failed: Refusal | None = None

    async def all_of(self, arms: Sequence[str]) -> list[str]:
        """Asks arms at once, those that the key allows; gives their names."""
        asked = [arm for arm in arms if self._admit(arm)]
        await self._make([((arm,), _PAUSE_S) for arm in asked])
        return asked

    async def first_of(self, arms: tuple[str, ...]) -> None:
        """Asks arms until one answers, as for a request that runs no plan."""
        if arms and self._admit(arms[0]):
            await self._make([(arms, None)])

    def _admit(self, arm: str) -> bool:
        if self.limit is None and self._made:
            try:
                self._gateway.access.admit(self._client, self._request.ask.input_tokens)
            except Refusal as refusal:
                self.limit = refusal
        if self.limit is None:
            self._made += 1
            return True
        self._record.excluded = {**self._record.excluded, arm: self.limit.message}
        return False

    async def _make(self, wanted: list[tuple[tuple[str, ...], float | None]]) -> None:
        """Makes calls at once, each of the first of its arms that answers."""
        record, waited = self._record, time.perf_counter()
        # Each has a record of its own, for what is filled in there is of one answer.
        parts = [Record(record.id, record.at, api=record.api) for _ in wanted]
        try:
            async with asyncio.TaskGroup() as calls:
                for part, (arms, pause_s) in zip(parts, wanted, strict=True):
                    calls.create_task(self._call(arms, part, pause_s))
        finally:
            record.upstream_s = (record.upstream_s or 0.0) + time.perf_counter() - waited
            for part in parts:
                record.attempts += part.attempts
                record.excluded = {**record.excluded, **part.excluded}

    async def _call(self, arms: tuple[str, ...], part: Record, pause_s: float | None) -> None:
        try:
            await self._open(arms, part, pause_s)
        except Refusal as refusal:
            if self.failed is None or self.failed.status >= _BROKEN:
                self.failed = refusal
        finally:
            used, paid = spent(part, answered=part.arm is not None)
            admitted = self._request.ask.input_tokens
            self._gateway.access.settle(self._client, used, paid, admitted=admitted)
            self._add_up(part)

    async def _open(self, arms: tuple[str, ...], part: Record, pause_s: float | None) -> None:
        answer = await self._gateway.upstreams.open(
            self._body,
            arms,
            self._gateway.prompts,
            part,
            ask=self._request.ask,
            path=self._request.path,
            deadline=max(self._until - asyncio.get_running_loop().time(), 0.0),
            pause_s=pause_s,
        )
        body, tally = answer.body, Tally()
        assert body is not None  # noqa: S101  no stream was asked for
        await answer.close()
        part.arm = answer.target.name
        tally.add_usage(body)
        tally.add(body)
        tally.fill(part, answer.target, answer.attempt)
        self.bodies[part.arm] = body
        self.said[part.arm] = Said(
            part.arm, part.response, part.finish_reason, part.input_tokens, part.output_tokens
        )

    def _add_up(self, part: Record) -> None:
        known = sum(attempt.cost_usd or 0.0 for attempt in part.attempts)
        if self.cost_usd is None or (part.arm is not None and part.cost_usd is None):
            self.cost_usd = None
        else:
            self.cost_usd += known
