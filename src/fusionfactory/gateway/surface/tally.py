"""What an answer said and used, read off it as it passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from fusionfactory.clients.replies import mean_logprob, token_counts, token_logprobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.fleet import Target
    from fusionfactory.gateway.log.record import Attempt, Record

__all__ = ["Tally"]


class Tally:
    """Of one answer, by its first choice, whole or chunk by chunk.

    Attributes:
        usage: As the endpoint says it; empty where it does not.
        finish_reason: Of the first choice.
        open: Indexes of the choices that have begun and not ended.
    """

    def __init__(self) -> None:
        self.usage: Mapping[str, Any] = {}
        self.finish_reason: str | None = None
        self.open: set[int] = set()
        self._begun = False
        self._text: list[str] = []
        self._logprobs: list[float] = []
        self._calls: dict[int, dict[str, str]] = {}

    @property
    def ended(self) -> bool:
        """Whether every choice that began has said why it ended."""
        return self._begun and not self.open

    def add_usage(self, document: Mapping[str, Any]) -> None:
        """Reads the usage of an answer, or of a chunk of one: the last one counts."""
        usage = document.get("usage")
        if type(usage) is dict:
            self.usage = usage

    def add(self, document: Mapping[str, Any]) -> None:
        """Reads the choices of an answer, or of a chunk of one."""
        choices = document.get("choices")
        if type(choices) is not list:
            return
        for choice in choices:
            if type(choice) is dict:
                self._choice(choice)

    def tell(self, record: Record) -> None:
        """Writes down what was said, and why it ended."""
        record.response = self._said()
        record.finish_reason = self.finish_reason
        record.logprob = mean_logprob(self._logprobs)

    def fill(self, record: Record, target: Target, attempt: Attempt) -> None:
        """Writes down what is known, with what it costs.

        Args:
            record: Of the request.
            target: Who answered.
            attempt: The call that was answered.
        """
        self.tell(record)
        sent, received = token_counts(self.usage)
        if received is None and record.api == "embeddings" and sent is not None:
            received = 0
        record.input_tokens, record.output_tokens = sent, received
        cost = target.price.usd(sent, received, self.usage)
        others = sum(call.cost_usd or 0.0 for call in record.attempts if call is not attempt)
        attempt.cost_usd = cost
        record.cost_usd = None if cost is None else cost + others

    def _choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        index = index if type(index) is int else 0
        self._begun = True
        reason = choice.get("finish_reason")
        if reason is None:
            self.open.add(index)
        else:
            self.open.discard(index)
        if index != 0:
            return
        if isinstance(reason, str):
            self.finish_reason = reason
        self._logprobs += token_logprobs(choice)
        said = choice.get("delta") or choice.get("message") or choice
        if not isinstance(said, dict):
            return
        text = said.get("content") or said.get("refusal") or said.get("text")
        if type(text) is str:
            self._text.append(text)
        calls = said.get("tool_calls")
        if type(calls) is list:
            for call in calls:
                self._call(call)

    def _call(self, call: object) -> None:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(call, dict) or not isinstance(function, dict):
            return
        index = call.get("index")
        index = index if type(index) is int else len(self._calls)
        known = self._calls.setdefault(index, {"name": "", "arguments": ""})
        for name in known:
            if isinstance(function.get(name), str):
                known[name] += function[name]

    def _said(self) -> str | None:
        """The text, or, where tools are called instead, the calls as JSON."""
        if self._text or not self._calls:
            return "".join(self._text) if self._begun else None
        return orjson.dumps(list(self._calls.values())).decode()
