"""Templates against their controls on test queries, with the gates that train queries chose.

Every row is read on the same queries: those that all compared arms answered. What an arm missed
stays missing, and an arm or a task with too many gaps is left out by name. A domain is the mean of
its tasks and the average the mean of all tasks, however many queries each has.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.errors import ThoughtError
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.standing import Standings, number
from fusionfactory.thoughts.gating.gate import BASELINE, RISK, TRAIN_SPLITS, Gate
from fusionfactory.thoughts.gating.ground import FORMAT, Ground, kind_of, label, models_of
from fusionfactory.thoughts.gating.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["GATES", "KIND", "Comparison", "compare"]

KIND = "thoughts"
"""The value of `kind` by which a report knows the document."""

GATES = {"gated": ("thought",), "gated-any": ("think", "format", "few-shot", "thought")}
"""Row to the kinds of strategies that its gate may use instead of the baseline."""


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        document: JSON values; null where nothing is known.
        gates: Model, then name of the row, to the gate.
    """

    document: dict[str, Any]
    gates: dict[str, dict[str, Gate]]


@dataclass(frozen=True)
class _Settings:
    """As for `compare`."""

    train_splits: Sequence[str]
    test_split: str
    similarity: FloatArray | None
    risk: float
    min_coverage: float
    draws: int
    seed: int


def compare(
    table: OutcomeTable,
    *,
    models: Sequence[str] = (),
    test_split: str = "test",
    train_splits: Sequence[str] = TRAIN_SPLITS,
    similarity: FloatArray | None = None,
    risk: float = RISK,
    min_coverage: float = MIN_COVERAGE,
    draws: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Controls and gates of every model.

    Args:
        table: Outcomes of the models' arms on train and test queries.
        models: Names; none for all of `models_of`.
        test_split: Of the queries that every figure is a mean over.
        train_splits: Of the queries that the gates learn on.
        similarity: (n,) of every query to its nearest template, for the gates; NaN where unknown.
        risk: Of the gates.
        min_coverage: Share of a task's test queries that an arm must have answered.
        draws: Bootstrap resamples.
        seed: Of the resamples and of the gates' folds.

    Raises:
        ThoughtError: There is no such model, no test query, or none that all arms answered.
    """
    if test_split in train_splits:
        msg = f"the gates learn on {test_split!r}: what they gain there is no evidence"
        raise ThoughtError(msg, field="test_split")
    settings = _Settings(train_splits, test_split, similarity, risk, min_coverage, draws, seed)
    known = models_of(table, test_split)
    for model in models:
        if model not in known:
            msg = (
                f"no model {model!r} that answered {test_split} queries by {BASELINE} and by "
                f"another strategy; there are: {', '.join(known) or 'none'}"
            )
            raise ThoughtError(msg, field="model")
    if not known:
        splits = ", ".join(sorted(set(table.queries["split"].drop_nulls()))) or "none"
        msg = (
            f"no model has scored answers to queries of the split {test_split!r} by {BASELINE} and "
            f"by another strategy: collect and score first. The table has the splits: {splits}"
        )
        raise ThoughtError(msg, field="arms")
    found, gates = [], {}
    for model in models or known:
        part, gates[model] = _compare(
            Ground.of_model(table, model, test_split, min_coverage), settings
        )
        found.append(part)
    facts = {
        "queries": len(table),
        "fingerprint": table.fingerprint(),
        "cost_basis": table.cost_basis,
        "train_splits": list(train_splits),
        "test_split": test_split,
        "similarity": similarity is not None,
        "risk": risk,
        "min_coverage": min_coverage,
        "draws": draws,
        "seed": seed,
    }
    return Comparison({"kind": KIND, "facts": facts, "models": found}, gates)


def _compare(ground: Ground, settings: _Settings) -> tuple[dict[str, Any], dict[str, Gate]]:
    taken = [strategy for strategy in ground.strategies if strategy in GATES]
    if taken:
        msg = f"the strategy {taken[0]!r} has the name of a gate: collect it under another one"
        raise ThoughtError(msg, field="arms")
    common = ground.table.rows(ground.rows)
    standings = Standings(common, ground.asked, settings.draws, settings.seed)
    gates: dict[str, Gate] = {}
    absent: dict[str, str] = {}
    for name, kinds in GATES.items():
        candidates = _candidates(ground, kinds, settings.train_splits)
        if candidates:
            gates[name] = Gate.fit(
                ground.table,
                model=ground.model,
                candidates=candidates,
                splits=settings.train_splits,
                similarity=settings.similarity,
                risk=settings.risk,
                seed=settings.seed,
            )
        else:
            absent[name] = f"no {' or '.join(kinds)} arm is scored on train queries"
    picks = _picks(ground, gates, settings.similarity)
    against = {name: picks[name] for name in (BASELINE, FORMAT) if name in picks}
    rows = [
        {"name": name, "label": _label(name), "kind": _kind(name)} | standings.row(columns, against)
        for name, columns in picks.items()
    ]
    document = {
        "model": ground.model,
        "queries": len(ground.rows),
        "asked": sum(ground.asked.values()),
        "tasks": standings.tasks,
        "domains": standings.domains,
        "rows": rows,
        "lead": _lead(ground, gates),
        "gates": {name: _described(gate) for name, gate in gates.items()},
        "statements": statements(rows, standings.tasks, list(GATES), BASELINE, FORMAT),
        "arms_left_out": ground.arms_left_out | absent,
        "tasks_left_out": ground.tasks_left_out,
    }
    return document, gates


def _candidates(ground: Ground, kinds: Sequence[str], splits: Sequence[str]) -> list[str]:
    """Strategies of these kinds that a train query was answered by, as it was by the baseline."""
    train = ground.table.queries["split"].is_in(list(splits)).fill_null(value=False).to_numpy()
    seen = ground.table.observed()[train]
    tried = (seen & seen[:, :1]).any(axis=0)
    return [
        strategy
        for strategy, known in zip(ground.strategies, tried, strict=True)
        if known and kind_of(strategy) in kinds
    ]


def _picks(
    ground: Ground, gates: dict[str, Gate], similarity: FloatArray | None
) -> dict[str, IntArray]:
    """Row to the (n,) columns that answer the common queries."""
    places = {strategy: column for column, strategy in enumerate(ground.strategies)}
    count = len(ground.rows)
    picks = {name: np.full(count, column) for name, column in places.items()}
    tasks = ground.table.tasks[ground.rows].tolist()
    near = None if similarity is None else similarity[ground.rows]
    for name, gate in gates.items():
        picks[name] = np.array([places[strategy] for strategy in gate.decide(tasks, near)])
    return picks


def _label(name: str) -> str:
    return name if name in GATES else label(name)


def _kind(name: str) -> str:
    return "gate" if name in GATES else kind_of(name)


def _lead(ground: Ground, gates: dict[str, Gate]) -> str | None:
    """The thought row to show where there is room for one: the best of all tasks on train."""
    if "gated" not in gates:
        return next((name for name in ground.strategies if kind_of(name) == "thought"), None)
    found = gates["gated"].other.evidence
    return max(found, key=lambda name: (found[name].gain, name))


def _described(gate: Gate) -> dict[str, Any]:
    """A gate for a reader: candidates, margin, and what is done on which task and why."""
    return {
        "candidates": list(gate.candidates),
        "margin": number(gate.margin),
        "rules": [{"task": task, **asdict(rule)} for task, rule in gate.rules.items()],
        "other": asdict(gate.other),
    }
