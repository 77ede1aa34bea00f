"""The common ground of a comparison: arms and test queries that can be held against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.errors import ThoughtError, UnsupportedError
from fusionfactory.footing import Footing
from fusionfactory.thoughts.gating.gate import BASELINE
from fusionfactory.thoughts.strategy import Strategy, parse_strategy
from fusionfactory.thoughts.template import CRITERIA

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["FORMAT", "Ground", "kind_of", "label", "models_of"]

FORMAT = "format"
"""The strategy of the format-only control."""

_ORDER = ("direct", "think", "format", "few-shot", "random", "thought")
_LABELS = {"direct": "zero-shot", "format": "format-only", "random": "random templates"}


@dataclass(frozen=True)
class Ground(Footing):
    """What of one model is compared: the baseline first, thoughts last; reasons by strategy.

    Attributes:
        model: Its name.
    """

    model: str

    @classmethod
    def of_model(
        cls, table: OutcomeTable, model: str, test_split: str, min_coverage: float
    ) -> Ground:
        """Leaves out tasks that the baseline, then arms that a task's queries lack too often.

        Raises:
            ThoughtError: No query of the split was answered by all arms.
        """
        arms = sorted(
            (arm for arm in table.arms if arm.model == model), key=lambda arm: _rank(arm.strategy)
        )
        table = table.select_arms([arm.name for arm in arms])
        even = Footing.of(table, test_split, min_coverage, label(BASELINE))
        if not even.rows.size:
            gaps = "; ".join(f"{task}: {why}" for task, why in even.tasks_left_out.items())
            msg = (
                f"{model} has no task of which {BASELINE} is scored on {min_coverage:.0%} of the "
                f"test queries ({gaps}): collect and score first"
            )
            raise ThoughtError(msg, field="performance")
        strategies = {arm.name: arm.strategy for arm in arms}
        arms_out = {strategies[name]: why for name, why in even.arms_left_out.items()}
        return cls(
            even.table, even.rows, even.asked, arms_out, even.tasks_left_out, even.missing, model
        )

    @property
    def strategies(self) -> list[str]:
        """Of the arms compared, in the order of the table's columns."""
        return [arm.strategy for arm in self.table.arms]


def models_of(table: OutcomeTable, split: str) -> list[str]:
    """Models that answered queries of a split by the baseline and by some other strategy.

    In the table's order. One whose train answers alone are there, such as a writer of templates,
    is none.
    """
    rows = (table.queries["split"] == split).fill_null(value=False).to_numpy()
    seen = table.observed()[rows].any(axis=0)
    found: dict[str, set[str]] = {}
    for arm, there in zip(table.arms, seen, strict=True):
        if there:
            found.setdefault(arm.model, set()).add(arm.strategy)
    return [model for model, used in found.items() if BASELINE in used and len(used) > 1]


def label(strategy: str) -> str:
    """What a row is called: `thought by judge, 3` for `thought-judge:3`."""
    known = _parsed(strategy)
    if known is None:
        return strategy
    name = _LABELS.get(known.kind, known.kind)
    by = f" by {known.criterion}" if known.criterion else ""
    return f"{name}{by}, {known.k}" if known.k else name


def kind_of(strategy: str) -> str:
    """`thought` for `thought-judge:3`; `other` for what this package did not prompt."""
    known = _parsed(strategy)
    return known.kind if known else "other"


def _rank(strategy: str) -> tuple[int, int, int, str]:
    known = _parsed(strategy)
    if known is None:
        return len(_ORDER), 0, 0, strategy
    criterion = CRITERIA.index(known.criterion) + 1 if known.criterion else 0
    return _ORDER.index(known.kind), criterion, known.k, strategy


def _parsed(strategy: str) -> Strategy | None:
    try:
        return parse_strategy(strategy)
    except UnsupportedError:
        return None
