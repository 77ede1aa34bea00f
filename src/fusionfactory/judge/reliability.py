"""How far to trust a judge: against itself on repeated grades, and against the metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.judge.asking import chosen_queries
from fusionfactory.judge.concordance import (
    Figure,
    accuracy,
    auc,
    bootstrapped,
    kappa,
    spearman,
    table_per_query,
)
from fusionfactory.judge.grade import GRADE
from fusionfactory.judge.repetition import RETEST
from fusionfactory.judge.rubric import LEVELS, RIGHT_FROM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.store import Store
    from fusionfactory.types import FloatArray, IntArray, Outcome

__all__ = ["AgainstMetric", "Agreement", "TestRetest", "agreement"]

_PASSED = 0.5
_STEPS = 1000


@dataclass(frozen=True)
class TestRetest:
    """A judge against itself: the same outcomes graded twice under the same prompt.

    At temperature 0 an endpoint may simply repeat itself: this bounds the noise of the judge, not
    its errors.

    Attributes:
        n: Outcomes graded twice.
        exact: Share with the same grade.
        mean_difference: Mean absolute difference.
        kappa: Quadratic-weighted over the rubric's levels; other values count as the nearest.
        spearman: Rank correlation; NaN where either is constant.
    """

    __test__ = False

    n: int
    exact: float
    mean_difference: float
    kappa: Figure
    spearman: float


@dataclass(frozen=True)
class AgainstMetric:
    """A judge against the task's metric, which passes an answer from .5 on.

    The judge calls an answer right at .15 or more, for the least level of a right answer is .3.

    Attributes:
        task: None for all tasks together.
        n: Outcomes with both scores.
        judged_right: Share that the judge calls right.
        right: Share that the metric passes.
        accuracy: Share on which both say the same.
        kappa: Cohen's, which chance agreement leaves at 0.
        auc: Chance that the judge grades a right answer above a wrong one.
    """

    task: str | None
    n: int
    judged_right: float
    right: float
    accuracy: Figure
    kappa: Figure
    auc: Figure


@dataclass(frozen=True)
class Agreement:
    """One judge under one version of the prompt.

    Attributes:
        judge: Its name; None for grades that came without one.
        version: Of the prompt.
        graded: Outcomes that it graded.
        levels: Rubric level to the share of grades nearest to it.
        retest: Against itself; None without repeated grades.
        metric: Against the metric: all tasks together, then each; empty without scores of both.
    """

    judge: str | None
    version: str | None
    graded: int
    levels: dict[float, float]
    retest: TestRetest | None
    metric: tuple[AgainstMetric, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, null for what is undefined."""
        return {
            "judge": self.judge,
            "version": self.version,
            "graded": self.graded,
            "levels": {f"{level:g}": share for level, share in self.levels.items()},
            "retest": None if self.retest is None else _plain(self.retest),
            "metric": [_plain(row) for row in self.metric],
        }


def _of(outcome: Outcome, name: str, scorer: str | None, version: str | None) -> float | None:
    wanted = (name, scorer, version)
    found = [s.value for s in outcome.scores if (s.name, s.scorer, s.version) == wanted]
    return found[-1] if found else None


@dataclass
class _Grades:
    """Parallel lists over the outcomes graded by one judge under one prompt."""

    queries: list[str]
    tasks: list[str | None]
    grades: list[float]
    repeated: list[float]
    metric: list[float]


def agreement(
    store: Store,
    *,
    judge: str | None = None,
    tasks: Sequence[str] = (),
    arms: Sequence[str] = (),
    draws: int = 1000,
    seed: int = 0,
) -> list[Agreement]:
    """Every judge and prompt version in the store against itself and against the metric.

    Args:
        store: Holds the scores.
        judge: Only the one of this name.
        tasks: Only these; empty for all.
        arms: Only these; empty for all.
        draws: Resamples of the queries for the intervals.
        seed: Of the resamples.

    Raises:
        ConfigError: A task or an arm is not in the store.
    """
    task_of = {query.id: query.task for query in chosen_queries(store, tasks, arms).values()}
    found: dict[tuple[str | None, str | None], _Grades] = {}
    for outcome in store.outcomes():
        if outcome.query_id not in task_of or (arms and outcome.arm not in arms):
            continue
        passed = [s.value for s in outcome.scores if s.name == "performance"]
        for score in outcome.scores:
            if score.name != GRADE or (judge is not None and score.scorer != judge):
                continue
            rows = found.setdefault((score.scorer, score.version), _Grades([], [], [], [], []))
            again = _of(outcome, RETEST, score.scorer, score.version)
            rows.queries.append(outcome.query_id)
            rows.tasks.append(task_of[outcome.query_id])
            rows.grades.append(score.value)
            rows.repeated.append(np.nan if again is None else again)
            rows.metric.append(passed[-1] if passed else np.nan)
    return [_agreement(name, rows, draws, seed) for name, rows in found.items()]


def _agreement(
    name: tuple[str | None, str | None], rows: _Grades, draws: int, seed: int
) -> Agreement:
    grades, repeated, metric = map(np.asarray, (rows.grades, rows.repeated, rows.metric))
    _, queries = np.unique(np.asarray(rows.queries), return_inverse=True)
    twice, both = ~np.isnan(repeated), ~np.isnan(metric)
    near = np.bincount(_levels(grades), minlength=len(LEVELS)) / len(grades)
    tasks = np.asarray([task or "" for task in rows.tasks])
    names = sorted(set(tasks[both]))
    parts: list[tuple[str | None, Any]] = [(None, both)] if both.any() else []
    if len(names) > 1:
        parts += [(task, both & (tasks == task)) for task in names if task]
    return Agreement(
        judge=name[0],
        version=name[1],
        graded=len(grades),
        levels=dict(zip(LEVELS, near.tolist(), strict=True)),
        retest=_retest(queries[twice], grades[twice], repeated[twice], draws, seed)
        if twice.any()
        else None,
        metric=tuple(
            _against(task, queries[some], grades[some], metric[some], draws, seed)
            for task, some in parts
        ),
    )


def _retest(
    queries: IntArray, one: FloatArray, other: FloatArray, draws: int, seed: int
) -> TestRetest:
    _, groups = np.unique(queries, return_inverse=True)
    shape = (len(LEVELS), len(LEVELS))
    tables = table_per_query(groups, _levels(one), _levels(other), shape)
    return TestRetest(
        n=len(one),
        exact=float((one == other).mean()),
        mean_difference=float(np.abs(one - other).mean()),
        kappa=bootstrapped(lambda t: kappa(t, quadratic=True), tables, draws=draws, seed=seed),
        spearman=spearman(one, other),
    )


def _against(
    task: str | None,
    queries: IntArray,
    grades: FloatArray,
    metric: FloatArray,
    draws: int,
    seed: int,
) -> AgainstMetric:
    _, groups = np.unique(queries, return_inverse=True)
    right = (metric >= _PASSED).astype(int)
    judged = (grades >= RIGHT_FROM).astype(int)
    binary = table_per_query(groups, judged, right, (2, 2))
    values, place = np.unique(np.rint(grades * _STEPS), return_inverse=True)
    ranked = table_per_query(groups, place, right, (len(values), 2))
    return AgainstMetric(
        task=task,
        n=len(grades),
        judged_right=float(judged.mean()),
        right=float(right.mean()),
        accuracy=bootstrapped(accuracy, binary, draws=draws, seed=seed),
        kappa=bootstrapped(kappa, binary, draws=draws, seed=seed),
        auc=bootstrapped(auc, ranked, draws=draws, seed=seed),
    )


def _levels(values: FloatArray) -> IntArray:
    """(n,) number of the nearest rubric level."""
    distance: IntArray = np.abs(np.asarray(LEVELS)[None] - values[:, None]).argmin(axis=1)
    return distance


def _plain(row: TestRetest | AgainstMetric) -> dict[str, Any]:
    def value(item: Any) -> Any:  # noqa: ANN401  any field
        if isinstance(item, Figure):
            return item.to_json()
        return None if isinstance(item, float) and np.isnan(item) else item

    return {name: value(getattr(row, name)) for name in row.__dataclass_fields__}
