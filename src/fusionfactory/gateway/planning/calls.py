"""The calls that a plan makes for a request: each within the key's limits, each charged."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.gateway.access.spent import spent
from fusionfactory.gateway.log.record import Record
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.surface.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.clients import Message
    from fusionfactory.gateway.access import Admission
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.gateway import Gateway
    from fusionfactory.gateway.surface.form import Request

__all__ = ["Calls"]

_PAUSE_S = 1.0
"""Longest pause before an arm is asked again where others are asked with it, and wait for it."""

_OF_A_STREAM = frozenset({"stream", "stream_options"})
_BROKEN = 500
_CHAT = "chat/completions"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A call to make.

    Attributes:
        arms: Who is asked: the first that answers.
        messages: What is asked; None for the request itself.
        pause_s: Longest pause before an arm is asked again; None for the settings'.
    """

    arms: tuple[str, ...]
    messages: Sequence[Message] | None = None
    pause_s: float | None = _PAUSE_S


class Calls:
    """Asks arms for whole answers, as one request after another would.

    Args:
        gateway: Its parts.
        client: Who asks.
        request: What is asked.
        record: Of the request; gets the attempts, and the time that they took.
        admission: Of the request, and so of the first call.

    Attributes:
        answered: Of every call that was answered, in the order of the calls: a record of its own.
        record: See above.
        bodies: Arm to its whole answer; of a judge, the last one.
        usages: What each answer says that it used.
        cost_usd: Of all calls; None where that of an answer is unknown.
        limit: Why the key allows no further call; None while it does.
        failed: Why the arms that gave no answer did not: the first that took the request to be at
            fault, or else the last one.
    """

    def __init__(
        self,
        gateway: Gateway,
        client: Client,
        request: Request,
        record: Record,
        admission: Admission,
    ) -> None:
        self._gateway, self._client = gateway, client
        self._request, self.record = request, record
        now = asyncio.get_running_loop().time()
        self._until = now + gateway.settings.upstream.deadline_s
        self._is_first = True
        self._admitted = [admission]
        self.answered: list[Record] = []
        self.bodies: dict[str, dict[str, Any]] = {}
        self.usages: list[object] = []
        self.cost_usd: float | None = 0.0
        self.limit: Refusal | None = None
        self.failed: Refusal | None = None

    async def all_of(self, arms: Sequence[str]) -> list[str]:
        """Asks arms at once, those that the key allows; gives their names."""
        asked = [arm for arm in arms if await self._admit(arm)]
        await self._make([_Wanted((arm,)) for arm in asked])
        return asked

    async def first_of(self, arms: tuple[str, ...]) -> None:
        """Asks arms until one answers, as for a request that runs no plan."""
        if arms and await self._admit(arms[0]):
            await self._make([_Wanted(arms, pause_s=None)])

    async def replies(self, arm: str, prompts: Sequence[Sequence[Message]]) -> list[str | None]:
        """What an arm replies to prompts, asked at once; None where it does not."""
        asked = [prompt for prompt in prompts if await self._admit(arm)]
        parts = await self._make([_Wanted((arm,), prompt) for prompt in asked])
        said = [part.response if part.arm is not None else None for part in parts]
        return [*said, *[None] * (len(prompts) - len(asked))]

    def close(self) -> None:
        """Charges nothing for calls that were let in and not made."""
        for admission in self._admitted:
            admission.settle(0, 0.0)

    async def _admit(self, arm: str) -> bool:
        if self._is_first:
            self._is_first = False
            return True
        access = self._gateway.access
        if self.limit is None:
            try:
                await access.prepare(self._client)
                admission = access.admit(self._client, self._request.ask.input_tokens)
            except Refusal as refusal:
                self.limit = refusal
            else:
                self._admitted.append(admission)
                return True
        self.record.excluded = {**self.record.excluded, arm: self.limit.message}
        return False

    async def _make(self, wanted: Sequence[_Wanted]) -> list[Record]:
        """Makes calls at once; gives a record of each, for what is filled in is of one answer."""
        record, waited = self.record, time.perf_counter()
        parts = [Record(record.id, record.at, api=record.api) for _ in wanted]
        try:
            async with asyncio.TaskGroup() as calls:
                for part, call in zip(parts, wanted, strict=True):
                    calls.create_task(self._call(call, part))
        finally:
            record.upstream_s = (record.upstream_s or 0.0) + time.perf_counter() - waited
            for part in parts:
                record.attempts += part.attempts
                record.excluded = {**record.excluded, **part.excluded}
            self.answered += [part for part in parts if part.arm is not None]
        return parts

    async def _call(self, call: _Wanted, part: Record) -> None:
        try:
            await self._open(call, part)
        except Refusal as refusal:
            if self.failed is None or self.failed.status >= _BROKEN:
                self.failed = refusal
        finally:
            self._admitted.pop().settle(*spent(part, answered=part.arm is not None))
            self._add_up(part)

    async def _open(self, call: _Wanted, part: Record) -> None:
        request = self._request
        body, path = request.body, request.path
        curious = call.messages is None and self._wants_logprobs(call.arms[0])
        if call.messages is None:
            body = {name: body[name] for name in body if name not in _OF_A_STREAM}
            body |= {"logprobs": True} if curious else {}
        else:
            # Limits and formats that the client sets are for answers, not for verdicts.
            body, path = {"messages": list(call.messages)}, _CHAT
        answer = await self._gateway.upstreams.open(
            body,
            call.arms,
            self._gateway.prompts,
            part,
            ask=request.ask,
            path=path,
            deadline=max(self._until - asyncio.get_running_loop().time(), 0.0),
            pause_s=call.pause_s,
        )
        document, tally = answer.body, Tally()
        assert document is not None  # noqa: S101  no stream was asked for
        await answer.close()
        part.arm = answer.target.name
        tally.add_usage(document)
        tally.add(document)
        tally.fill(part, answer.target, answer.attempt)
        if curious:
            _without_logprobs(document)
        self.bodies[part.arm] = document
        self.usages.append(document.get("usage"))

    def _wants_logprobs(self, arm: str) -> bool:
        """Whether the plan is to know log-probabilities that the client did not ask for."""
        request, wanted = self._request, self._gateway.fleet[arm].model.logprobs
        return wanted and request.path == _CHAT and not request.body.get("logprobs")

    def _add_up(self, part: Record) -> None:
        known = sum(attempt.cost_usd or 0.0 for attempt in part.attempts)
        if self.cost_usd is None or (part.arm is not None and part.cost_usd is None):
            self.cost_usd = None
        else:
            self.cost_usd += known


def _without_logprobs(document: dict[str, Any]) -> None:
    for choice in document["choices"]:
        if isinstance(choice, dict):
            choice.pop("logprobs", None)
