"""The columns of a leaderboard: heading, meaning and text, the same in HTML and Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fusionfactory.report import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fusionfactory.report.document import Document, Row

__all__ = ["COLUMNS", "Column", "columns_of", "verdict_words"]


@dataclass(frozen=True)
class Column:
    """One figure of a row.

    Attributes:
        key: Its field of `Row`.
        heading: Short, for the table.
        group: Heading above it.
        meaning: One line for `how to read`.
        write: The value as text.
        measured: Whether it is a time that baselines have no measurement of.
    """

    key: str
    heading: str
    group: str
    meaning: str
    write: Callable[[float | None], str]
    measured: bool = False

    def value(self, row: Row) -> float | None:
        """The figure, None where unknown."""
        if self.measured and row.is_baseline:
            return None
        value: float | None = getattr(row, self.key)
        return value

    def text(self, row: Row) -> str:
        """The figure as text."""
        return self.write(self.value(row))


_RESULT, _CURVE, _PICKS, _SPEED = "Result", "Whole curve", "Picks", "Speed"

COLUMNS = (
    Column("quality", "Quality", _RESULT,
           "Mean task metric of the chosen arms over the test queries, 0 to 1; mean of the seeds.",
           figures.decimal),
    Column("cost_usd", "USD per 1k", _RESULT, "Mean cost of the chosen arms for 1,000 queries.",
           figures.usd),
    Column("reward", "Reward", _RESULT,
           "What the scenario rewards: weighted quality minus weighted cost, both scaled per task "
           "by ranges seen in training; routers are ranked by it. Under a budget, those that spent "
           "over a tenth more than it come last.", figures.decimal),
    Column("gap_closed", "Gap closed", _RESULT,
           "(reward − best single arm's) / (oracle's − best single arm's): 0 % is the best single "
           "arm, 100 % the oracle.", figures.percent),
    Column("cost_save", "Saved", _CURVE,
           "Cost saved against the best single arm at its quality, by the cheapest point of the "
           "router's curve that reaches it; 0 where none does.", figures.percent),
    Column("cost_save_1pt", "Saved, −1 pt", _CURVE,
           "The same with one point (.01) of quality given up.", figures.percent),
    Column("aiq", "AIQ", _CURVE,
           "Average quality under the upper hull of the curve, from the cheapest arm's cost to the "
           "dearest's (RouterBench).", figures.decimal),
    Column("apgr", "APGR", _CURVE,
           "Average performance gap recovered between the cheapest and the best single arm "
           "(RouteLLM); .5 is chance.", figures.decimal),
    Column("entropy", "Entropy", _PICKS, "Spread of the picks over the arms in bits; 0 is one arm.",
           partial(figures.decimal, digits=2)),
    Column("top_share", "Top arm", _PICKS, "Share of the queries that the most chosen arm gets.",
           figures.percent),
    Column("scored_share", "Scored", _PICKS,
           "Share of the picks that the table holds a score for; means cover only these.",
           figures.percent),
    Column("fit_s", "Fit, s", _SPEED, "Seconds to fit, encoding left out.", figures.significant,
           measured=True),
    Column("route_us_per_query", "µs per query", _SPEED,
           "Microseconds per query to estimate and choose in one batch, encoding left out.",
           figures.significant, measured=True),
    Column("decide_p50_ms", "p50, ms", _SPEED, "Median milliseconds of one decision on its own.",
           figures.significant, measured=True),
)  # fmt: skip


def columns_of(document: Document) -> Sequence[Column]:
    """The columns worth showing: `scored_share` only where it is below 1."""
    rows = [row for board in document.scenarios.values() for row in board]
    full = all(row.fully_scored for row in rows)
    return [column for column in COLUMNS if not (column.key == "scored_share" and full)]


def verdict_words(row: Row) -> tuple[str, str]:
    """Sign (`better`, `same`, `worse`, `none`) and short words of a row's quality verdict."""
    pair = row.interval
    if row.router == "best_single":
        return "none", "the yardstick"
    if pair is None:
        return "none", "no interval"
    if pair[0] > 0:
        return "better", "better"
    if pair[1] < 0:
        return "worse", "worse"
    return "same", "unclear"
