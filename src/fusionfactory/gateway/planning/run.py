"""A plan at work on a request: stage by stage, until an answer stands."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import FusionFactoryError
from fusionfactory.gateway.log.record import Record, Said
from fusionfactory.gateway.planning.calls import Calls
from fusionfactory.gateway.planning.usage import summed_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.gateway.access import Admission
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.gateway import Gateway
    from fusionfactory.gateway.log.record import Ran
    from fusionfactory.gateway.planning.served import ServedPlan
    from fusionfactory.gateway.surface.form import Request
    from fusionfactory.plans.online import Run

__all__ = ["PlanRun"]

_log = logging.getLogger(__name__)


class PlanRun:
    """Runs a plan for a request.

    An arm that fails gave no answer, and the plan goes on with the others. Where the key's limits
    end it, the answer that stands by then is given. A judge's replies are no answers to the
    question, so that they are among the attempts alone.

    Args:
        served: The plan.
        run: It, at the beginning of this question.
        ran: Gets how it goes.
    """

    def __init__(self, served: ServedPlan, run: Run, ran: Ran) -> None:
        self._served, self._run, self._ran = served, run, ran
        self._judges: tuple[str, ...] = ()

    async def answer(
        self,
        gateway: Gateway,
        client: Client,
        request: Request,
        record: Record,
        admission: Admission,
    ) -> dict[str, Any]:
        """The answer that stands in the end, with the usage of all calls.

        Args:
            gateway: Its parts.
            client: Who asks.
            request: What is asked.
            record: Gets the attempts, what was said, and what all of it cost.
            admission: Of the request; settled in the end.

        Raises:
            Refusal: No arm answers.
        """
        ran, calls = self._ran, Calls(gateway, client, request, record, admission)
        record.plan = ran
        try:
            arm = await self._standing(calls)
        finally:
            calls.close()
            ran.said = [_said(part) for part in calls.answered if part.arm not in self._judges]
        ran.answer, record.arm = arm, self._served.name
        record.status, record.cost_usd = 200, calls.cost_usd
        told = next(part for part in reversed(calls.answered) if part.arm == arm)
        record.response, record.finish_reason = told.response, told.finish_reason
        record.logprob = told.logprob
        record.input_tokens = _total([part.input_tokens for part in calls.answered])
        record.output_tokens = _total([part.output_tokens for part in calls.answered])
        return {**calls.bodies[arm], "usage": summed_usage(calls.usages)}

    def notes(self) -> Iterator[tuple[str, object]]:
        """Name to value of what the client is told of it in headers."""
        ran = self._ran
        yield "plan-metric", ran.metric
        yield "plan-asked", ";".join(",".join(stage) for stage in ran.stages)
        yield "plan-answer", ran.answer
        yield "plan-confidence", ran.confidence

    async def _standing(self, calls: Calls) -> str:
        """Runs the plan to its end; gives the arm to answer by."""
        run, ran = self._run, self._ran
        while run.call and calls.limit is None:
            said = await self._stage(calls)
            try:
                await asyncio.to_thread(run.told, said, self._logprobs(calls))
            except FusionFactoryError as error:
                _log.warning("the plan %s stops, for it cannot compare answers: %s",
                             ran.plan, error)  # fmt: skip
                break
            ran.confidence = run.confidence
        return run.answer or await self._any_other(calls)

    async def _stage(self, calls: Calls) -> dict[str, str | None]:
        """Asks the next arms; gives what each is to have said."""
        call, lineup = self._run.call, self._run.lineup
        if lineup is None:
            before = len(calls.answered)
            asked = await calls.all_of(call)
            responses = {str(part.arm): part.response for part in calls.answered[before:]}
        else:
            (judge,) = call
            self._judges = call
            asked = [judge]
            responses = {judge: lineup.heard(await calls.replies(judge, lineup.prompts()))}
        if asked:
            self._ran.stages.append(list(asked))
        return {**dict.fromkeys(call), **responses}

    def _logprobs(self, calls: Calls) -> dict[str, float | None]:
        """Arm to how sure it was of its answer; a judge's replies are none."""
        parts = [part for part in calls.answered if part.arm not in self._judges]
        return {str(part.arm): part.logprob for part in parts}

    async def _any_other(self, calls: Calls) -> str:
        """Asks the arms that were not called, for none answered; gives the one that does.

        Raises:
            Refusal: None does.
        """
        called = {part.arm for part in calls.record.attempts}
        await calls.first_of(tuple(arm for arm in self._served.arms if arm not in called))
        if calls.answered:
            arm = str(calls.answered[-1].arm)
            self._ran.stages.append([arm])
            return arm
        refusal = calls.limit or calls.failed
        assert refusal is not None  # noqa: S101  nobody answered, and each of them said why
        raise refusal


def _said(part: Record) -> Said:
    return Said(
        str(part.arm),
        part.response,
        part.finish_reason,
        part.input_tokens,
        part.output_tokens,
        part.logprob,
    )


def _total(counts: list[int | None]) -> int | None:
    """None where one is unknown."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
