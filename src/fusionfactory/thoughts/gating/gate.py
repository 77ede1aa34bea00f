"""When to use templates: per task, and per query where similarity tells more, from train outcomes.

A candidate is used on a task only where its gain over the baseline, drawn towards the other tasks'
(`gating.evidence`), exceeds a margin of z standard errors. z is such that, over all candidates of
a task together, one without any gain passes with a probability of `risk` at most. Where true gains
are the paper's, the default keeps 3.3 of 5.5 points to be had with 100 train queries a task, and
makes one task in a hundred worse by over half a point (`benchmarks/thought_gate.py`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import ThoughtError
from fusionfactory.metrics import mean_or_nan
from fusionfactory.thoughts.gating.evidence import NONE, Evidence, Trials
from fusionfactory.thoughts.gating.nearness import Nearness, near_rules
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["BASELINE", "RISK", "TRAIN_SPLITS", "Gate", "Rule", "Weighed"]

BASELINE = "direct"
"""The strategy that is used unless another one has shown to be better."""

RISK = 0.1
"""Chance at most that a task goes to a candidate, of all it may go to, that gains nothing."""

TRAIN_SPLITS = ("train", "validation")
"""Splits to learn on: their queries were prompted without templates of their own."""

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Weighed:
    """What train outcomes say of one candidate on one task.

    Attributes:
        gain: Over the baseline, drawn towards the other tasks'.
        error: Its standard error.
        queries: Train queries that both answered, near-duplicates counted once.
        cost_usd: Mean cost per query; None when unknown.
    """

    gain: Annotated[float, Field(allow_inf_nan=False)]
    error: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    queries: Annotated[int, Field(ge=0)]
    cost_usd: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done on one task.

    Attributes:
        strategy: Used on the task.
        evidence: Candidate to what is known of it.
        near: Used instead where the nearest template is at least as similar as `threshold`, the
            baseline being used below it; None where similarity tells nothing more.
        threshold: Cosine.
    """

    strategy: str
    evidence: dict[str, Weighed]
    near: str | None = None
    threshold: Annotated[float | None, Field(allow_inf_nan=False)] = None


@dataclass(frozen=True)
class Gate:
    """A fitted gate of one model.

    Attributes:
        model: Whose arms it decides between.
        baseline: Strategy used where nothing has shown to be better.
        candidates: Strategies that it may use.
        risk: See `RISK`.
        rules: Task to what is done on it.
        other: What is done on any other task, by the evidence of all tasks.
    """

    model: str
    baseline: str
    candidates: Annotated[tuple[str, ...], Field(min_length=1)]
    risk: Annotated[float, Field(gt=0, lt=1)]
    rules: dict[str, Rule]
    other: Rule

    @property
    def margin(self) -> float:
        """Standard errors by which a gain must exceed 0."""
        return _margin(self.risk, len(self.candidates))

    @classmethod
    def fit(
        cls,
        table: OutcomeTable,
        *,
        model: str,
        candidates: Sequence[str],
        baseline: str = BASELINE,
        splits: Sequence[str] = TRAIN_SPLITS,
        similarity: FloatArray | None = None,
        risk: float = RISK,
        seed: int = 0,
    ) -> Gate:
        """Weighs the candidates on the train queries; no other row is looked at.

        Args:
            table: Outcomes of the model's arms.
            model: Its name.
            candidates: Strategies.
            baseline: Strategy.
            splits: Of the queries to learn on.
            similarity: (n,) of every query of the table to its nearest template; NaN if unknown.
            risk: See `RISK`.
            seed: Of the folds on which a threshold of similarity is tried.

        Raises:
            ThoughtError: An arm is not in the table, or no train query has a quality.
        """
        if not candidates:
            msg = f"there is nothing to choose but {baseline}: give strategies that may be better"
            raise ThoughtError(msg, field="candidates")
        if not 0 < risk < 1:
            msg = f"{risk} is no risk: expected a probability between 0 and 1"
            raise ThoughtError(msg, field="risk")
        rows = np.nonzero(table.queries["split"].is_in(list(splits)).fill_null(value=False))[0]
        columns = _columns(table, model, (baseline, *candidates))
        quality = table.quality[rows][:, columns]
        differences = quality[:, 1:] - quality[:, :1]
        if np.isnan(differences).all():
            msg = (
                f"no query of the split {' or '.join(splits)} has a quality of {baseline} and of a "
                f"candidate: collect and score train questions for {model} too, since a gate may "
                "not learn on test questions"
            )
            raise ThoughtError(msg, field="split")
        train = table.rows(rows)
        names, tasks = np.unique(train.tasks, return_inverse=True)
        trials = Trials(differences, tasks, train.groups(), len(names))
        costs = _costs(train.cost_usd[:, columns[1:]], trials)
        margin = _margin(risk, len(candidates))
        evidence = trials.weigh()
        near: list[Nearness | None] = [None] * (len(names) + 1)
        if similarity is not None:
            near[:-1] = near_rules(trials, similarity[rows], costs, margin, seed=seed)
        strategies = (*candidates, baseline)
        *rules, other = (
            _rule(strategies, evidence, costs, task, int(choice), near[task])
            for task, choice in enumerate(evidence.best(margin, costs))
        )
        named = dict(zip(names.tolist(), rules, strict=True))
        return cls(model, baseline, tuple(candidates), risk, named, other)

    def decide(
        self, tasks: Sequence[str | None], similarity: FloatArray | None = None
    ) -> list[str]:
        """The strategy of every query.

        Args:
            tasks: (n,) names; None where unknown.
            similarity: (n,) of every query to its nearest template; NaN where unknown, and then
                the task alone decides.
        """
        near = np.full(len(tasks), np.nan) if similarity is None else similarity
        return [self._decide(task, float(s)) for task, s in zip(tasks, near, strict=True)]

    def _decide(self, task: str | None, similarity: float) -> str:
        rule = self.rules.get(task or "", self.other)
        if rule.near is None or rule.threshold is None or np.isnan(similarity):
            return rule.strategy
        return rule.near if similarity >= rule.threshold else self.baseline

    def save(self, path: Path) -> None:
        """Writes JSON, all or nothing."""
        text = json.dumps({"version": _VERSION, **asdict(self)}, ensure_ascii=False, indent=1)
        write_atomically(path, lambda to: to.write_text(text + "\n", encoding="utf-8"))

    @classmethod
    def load(cls, path: Path) -> Gate:
        """Reads what `save` wrote.

        Raises:
            ThoughtError: The file is missing, damaged, of another version, or decides for a
                strategy that it does not name as a candidate; names file and field.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            msg = "no such file: fit a gate first, by `fusionfactory think evaluate --gates FOLDER`"
            raise ThoughtError(msg, file=path) from None
        except (OSError, ValueError) as error:
            raise ThoughtError(str(error), file=path) from None
        version = content.get("version") if isinstance(content, dict) else None
        if version != _VERSION:
            msg = f"version {version!r} of a gate; this program reads {_VERSION}"
            raise ThoughtError(msg, file=path, field="version")
        try:
            gate = _FORM.validate_python(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            raise ThoughtError(str(first["msg"]), file=path, field=field) from None
        gate._check(path)
        return gate

    def _check(self, path: Path) -> None:
        known = {self.baseline, *self.candidates}
        for task, rule in (*self.rules.items(), (None, self.other)):
            for strategy in (rule.strategy, rule.near or self.baseline):
                if strategy not in known:
                    msg = f"uses {strategy!r}, which is none of {', '.join(sorted(known))}"
                    place = "other" if task is None else f"rules.{task}"
                    raise ThoughtError(msg, file=path, field=place)


_FORM = TypeAdapter(Gate)


def _margin(risk: float, candidates: int) -> float:
    """Sidak's: each candidate alone may pass by chance so rarely that together they keep to it."""
    return NormalDist().inv_cdf((1 - risk) ** (1 / candidates))


def _columns(table: OutcomeTable, model: str, strategies: Sequence[str]) -> list[int]:
    names = table.arm_names
    wanted = [Arm(model, strategy).name for strategy in strategies]
    for name in wanted:
        if name not in names:
            msg = f"no arm {name!r}; the table has {', '.join(names)}"
            raise ThoughtError(msg, field="arms")
    return [names.index(name) for name in wanted]


def _costs(cost_usd: FloatArray, trials: Trials) -> FloatArray:
    """(t + 1, c) mean USD per paired query, NaN where unknown; the last row is over all tasks."""
    paid = np.where(np.isnan(trials.differences), np.nan, cost_usd)
    parts = [paid[trials.tasks == task] for task in range(trials.count)]
    return np.array([[mean_or_nan(column) for column in part.T] for part in (*parts, paid)])


def _rule(
    strategies: tuple[str, ...],
    evidence: Evidence,
    costs: FloatArray,
    task: int,
    choice: int,
    near: Nearness | None,
) -> Rule:
    """Of `strategies` the baseline comes last, so that `NONE` is its place."""
    weighed = {
        name: Weighed(
            float(evidence.gain[task, column]),
            float(evidence.error[task, column]),
            int(evidence.queries[task, column]),
            None if np.isnan(costs[task, column]) else float(costs[task, column]),
        )
        for column, name in enumerate(strategies[:-1])
    }
    strategy = strategies[-1] if choice == NONE else strategies[choice]
    if near is None:
        return Rule(strategy, weighed)
    return Rule(strategy, weighed, strategies[near.candidate], near.threshold)
