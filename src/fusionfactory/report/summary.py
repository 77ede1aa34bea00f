"""One line per scenario: its winner and what it gains and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.columns import verdict_words
from fusionfactory.report.figures import MISSING, decimal, interval, percent, points

if TYPE_CHECKING:
    from fusionfactory.report.document import Document, Row

__all__ = ["summary_rows"]


def summary_rows(document: Document) -> list[list[str]]:
    """A heading, then one row per scenario that was run."""
    rows = [
        [
            "Scenario",
            "Highest reward",
            "Quality",
            "Quality vs best single, points",
            "Verdict on quality",
            "Reward vs best single, points",
            "Cost vs best single",
            "Gap closed",
        ]
    ]
    for name in document.scenarios:
        routers = document.routers(name)
        if routers:
            rows.append(_row(document, name, routers[0]))
    return rows


def _row(document: Document, scenario: str, winner: Row) -> list[str]:
    gain = document.gain(scenario, winner)
    size = f"{points(gain)} " if gain is not None else ""
    return [
        scenario,
        winner.router,
        decimal(winner.quality),
        f"{size}{interval(winner.interval)}",
        verdict_words(winner)[1],
        interval(winner.reward_interval),
        _cost_change(winner, document.row(scenario, "best_single")),
        percent(winner.gap_closed),
    ]


def _cost_change(winner: Row, best: Row | None) -> str:
    if best is None or not best.cost_usd or winner.cost_usd is None:
        return MISSING
    change = winner.cost_usd / best.cost_usd - 1
    return f"+{percent(change)}" if change > 0 else percent(change)
