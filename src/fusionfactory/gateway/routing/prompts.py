"""Puts an arm's strategy around a real conversation, as `collect` puts it around a question."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from fusionfactory.conversation import user_text
from fusionfactory.errors import ConfigError
from fusionfactory.gateway.fleet import GATED
from fusionfactory.gateway.routing.batching import Unanswered
from fusionfactory.gateway.routing.gates import read_gates
from fusionfactory.gateway.routing.notes import Notes
from fusionfactory.thoughts.prompt import with_notes
from fusionfactory.thoughts.prompter import Prompter
from fusionfactory.thoughts.strategy import parse_strategy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fusionfactory.config import Config
    from fusionfactory.gateway.fleet import Fleet, Target
    from fusionfactory.gateway.routing.ask import Ask
    from fusionfactory.thoughts.gating.gate import Gate

__all__ = ["Prompts", "TaskOf"]

_log = logging.getLogger(__name__)
_PLAIN = "direct"
_NO_NOTES = "format"


class TaskOf(Protocol):
    """Tells the task of a text."""

    async def task(self, text: str) -> str | None:
        """Its name; None where it cannot be told."""
        ...


class Prompts:
    """The prompts of a fleet's arms.

    Args:
        prompter: Of the bank; None where no strategy needs one.
        gates: Model to the gate that its `gated` arm uses.
        tasks: Tells gates the task of a question; None where nobody can.
        within_s: Seconds for which a request waits for notes, and goes without them then.
    """

    def __init__(
        self,
        prompter: Prompter | None = None,
        gates: Mapping[str, Gate] | None = None,
        *,
        tasks: TaskOf | None = None,
        within_s: float = 1.0,
    ) -> None:
        self._notes = None if prompter is None else Notes(prompter, patience_s=within_s)
        self._gates, self._tasks, self._within_s = dict(gates or {}), tasks, within_s

    @classmethod
    def load(cls, config: Config, fleet: Fleet, *, tasks: TaskOf | None = None) -> Self:
        """What the arms of the settings need.

        Raises:
            ConfigError: A strategy needs a bank or a gate that the settings do not name.
            ThoughtError: The bank, its index or a gate is missing or damaged.
        """
        routing = config.serve.routing
        gates = read_gates(fleet, routing.gates)
        needing = next((s for s in _strategies(fleet, gates) if parse_strategy(s).needs_bank), None)
        prompter = None
        if needing is not None:
            if config.think.bank is None:
                msg = (
                    f"the strategy {needing!r} needs a bank of templates, and the settings name "
                    "none: set `bank` under [think]"
                )
                raise ConfigError(msg, field="think.bank")
            prompter = Prompter.load(config.think.bank, **config.think.prompting())
        return cls(prompter, gates, tasks=tasks, within_s=routing.decide_within_s)

    async def prepare(
        self, body: dict[str, Any], target: Target, ask: Ask, /
    ) -> tuple[dict[str, Any], str]:
        """The request as the arm gets it, and the strategy that its prompt was made by.

        Where notes cannot be had, the strategy is `format`: their prompt without them. A body
        without a user's words to put anything to stays as it is, and so does one of `direct`.
        """
        strategy = target.arm.strategy
        if strategy == _PLAIN:
            return body, strategy
        last = _last_user(body.get("messages"))
        if last is None:
            return body, _PLAIN
        question = user_text([last])
        if strategy == GATED:
            strategy = await self._through_gate(target.model.name, question, ask)
            if strategy == _PLAIN:
                return body, strategy
        told = parse_strategy(strategy)
        block = ""
        if told.needs_bank:
            try:
                block = await self._block(question, strategy)
            except Unanswered as error:
                _log.warning("an answer goes without notes of %s: %s", strategy, error)
                strategy = _NO_NOTES
        messages = with_notes(body["messages"], block, told.closing)
        return {**body, "messages": list(messages)}, strategy

    def close(self) -> None:
        """Ends the thread of the notes."""
        if self._notes is not None:
            self._notes.close()

    async def _block(self, question: str, strategy: str) -> str:
        if self._notes is None:
            msg = "there is no bank"
            raise Unanswered(msg)
        return await self._notes.block(question, strategy, self._within_s) if question else ""

    async def _through_gate(self, model: str, question: str, ask: Ask) -> str:
        gate = self._gates[model]
        task = None if self._tasks is None else await self._tasks.task(ask.text)
        rule = gate.rules.get(task or "", gate.other)
        if rule.near is None or self._notes is None or not question:
            return gate.decide([task])[0]
        try:
            similarity = await self._notes.similarity(question, self._within_s)
        except Unanswered as error:
            _log.warning("the gate of %s goes by the task alone: %s", model, error)
            return gate.decide([task])[0]
        return gate.decide([task], np.array([similarity]))[0]


def _strategies(fleet: Fleet, gates: Mapping[str, Gate]) -> Iterator[str]:
    """All that may be used."""
    yield from (t.arm.strategy for t in fleet.targets.values() if t.arm.strategy != GATED)
    for gate in gates.values():
        yield gate.baseline
        yield from gate.candidates


def _last_user(messages: object) -> Mapping[str, Any] | None:
    """The last message of a user whose content is a text or parts; None where there is none."""
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        return None
    told: dict[str, Any] | None = next((m for m in messages[::-1] if m.get("role") == "user"), None)
    if told is None or not isinstance(told.get("content"), str | list):
        return None
    return told
