"""The nouns: what is asked, what can answer, what came out and what is decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fusionfactory.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = [
    "JUDGE_ONLY",
    "Arm",
    "BoolArray",
    "Decision",
    "Estimates",
    "FloatArray",
    "IntArray",
    "Outcome",
    "Query",
    "Score",
    "Split",
]

FloatArray: TypeAlias = NDArray[np.floating]
IntArray: TypeAlias = NDArray[np.integer]
BoolArray: TypeAlias = NDArray[np.bool_]
Split: TypeAlias = Literal["train", "validation", "test"]

JUDGE_ONLY = "judge"
"""The metric of free-text tasks without a target: no scorer, only an LLM judge."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question. Called sample or prompt elsewhere."""

    id: str
    text: str
    task: str | None = None
    domain: str | None = None
    target: str | None = None
    metric: str | None = None
    split: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Arm:
    """What can answer: a model with a prompt strategy. Called candidate or LLM elsewhere.

    Attributes:
        model: Model name, for example `qwen2.5-7b-instruct`.
        strategy: `direct`, `think`, `thought:3`, ...
        input_price: USD per million input tokens; None when unknown.
        output_price: USD per million output tokens; None when unknown.
        description: Text that describes the model, for routers that read it.
    """

    model: str
    strategy: str = "direct"
    input_price: float | None = field(default=None, compare=False)
    output_price: float | None = field(default=None, compare=False)
    description: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.model or "|" in self.model:
            msg = f"{self.model!r} is no model name: it must be non-empty and hold no '|'"
            raise InputError(msg)

    @property
    def name(self) -> str:
        """`model` for the direct strategy, `model|strategy` otherwise."""
        return self.model if self.strategy == "direct" else f"{self.model}|{self.strategy}"

    @classmethod
    def parse(
        cls,
        name: str,
        *,
        input_price: float | None = None,
        output_price: float | None = None,
        description: str | None = None,
    ) -> Arm:
        """Reads `m`, `m|think`, `m|thought:3`.

        Raises:
            InputError: The name is empty or has an empty part.
        """
        model, bar, strategy = name.partition("|")
        if bar and not strategy:
            msg = f"{name!r} is no arm: expected `model` or `model|strategy`"
            raise InputError(msg)
        return cls(model, strategy or "direct", input_price, output_price, description)


@dataclass(frozen=True, slots=True)
class Score:
    """One judgement of one outcome.

    Attributes:
        name: `performance` for the task metric, `llm_judge` for a judge.
        value: In [0, 1].
        scorer: Who scored: the metric's or the judge's name.
        version: Version of the scorer or of the judge's prompt.
        reason: Why, where the scorer says.
    """

    name: str
    value: float
    scorer: str | None = None
    version: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.value <= 1.0:
            msg = f"{self.value} is no score: it must lie in [0, 1]"
            raise InputError(msg, field=self.name)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One arm on one query. A failed call is an outcome with an error and no scores.

    Attributes:
        query_id: Id of the query.
        arm: Name of the arm.
        sample: Repetition, from 0.
        response: Text of the answer.
        input_tokens: Tokens sent; None when unknown.
        output_tokens: Tokens received; None when unknown.
        cost_usd: Price of the call in USD; None when unknown, never 0 for unknown.
        latency_s: Seconds from request to last byte.
        error: What went wrong, if the call failed.
        scores: Judgements of the answer.
        created: When the answer came.
        propensity: Probability with which a router chose the arm; None when unknown.
        finish_reason: Why the model stopped, as the endpoint says: `stop`, `length`, ...
        logprob: Mean natural log-probability of the answer's tokens, 0 at most; None when unknown.
    """

    query_id: str
    arm: str
    sample: int = 0
    response: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    error: str | None = None
    scores: tuple[Score, ...] = ()
    created: datetime | None = None
    propensity: float | None = None
    finish_reason: str | None = None
    logprob: float | None = None

    def __post_init__(self) -> None:
        if self.error is not None and self.scores:
            raise InputError("a failed call has no scores", field="scores")  # noqa: EM101


@dataclass(frozen=True, slots=True)
class Estimates:
    """What a router expects of every arm on every query.

    Attributes:
        arms: m names, the order of the columns.
        quality: (n, m) expected quality, higher is better.
        cost_usd: (n, m) expected cost per query in USD; NaN where nothing is known.
        quality_std: (n, m) standard deviation of the estimate of quality, where known.
        task_weights: (n, t) probabilities of the training tasks, where the router knows them.
    """

    arms: tuple[str, ...]
    quality: FloatArray
    cost_usd: FloatArray
    quality_std: FloatArray | None = None
    task_weights: FloatArray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.quality), len(self.arms))
        for name in ("quality", "cost_usd", "quality_std"):
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                msg = f"has shape {array.shape}, expected {shape}"
                raise InputError(msg, field=name)

    def __len__(self) -> int:
        return len(self.quality)

    def select(self, arms: Sequence[str]) -> Estimates:
        """The same queries, only these arms, in this order."""
        index = [self.arms.index(arm) for arm in arms]
        std = None if self.quality_std is None else self.quality_std[:, index]
        return Estimates(
            tuple(arms), self.quality[:, index], self.cost_usd[:, index], std, self.task_weights
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """Which arm answers a query, and what is expected of it.

    Attributes:
        arm: Name of the arm.
        expected_quality: In [0, 1] where the router estimates quality.
        expected_cost_usd: USD for this query; NaN when unknown.
        propensity: Probability with which the arm was chosen, for off-policy estimates.
        router: Name and version of the router that decided.
    """

    arm: str
    expected_quality: float
    expected_cost_usd: float
    propensity: float = 1.0
    router: str = ""
