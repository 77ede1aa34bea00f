"""Mean quality of every arm on every task, as a table whose cells are shaded."""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING

from fusionfactory.report.figures import MISSING, count, decimal
from fusionfactory.report.markup import Markup, tag
from fusionfactory.report.pareto import arm_order

if TYPE_CHECKING:
    from fusionfactory.report.document import Document

__all__ = ["SHADES", "best_per_task", "heat_map", "task_name"]

SHADES = 10


def best_per_task(document: Document) -> list[set[int]]:
    """Columns of the best arms of every task, ties at the digits shown included."""
    found = []
    for row in document.details.task_quality:
        shown = [None if value is None else round(value, 2) for value in row]
        known = [value for value in shown if value is not None]
        found.append({i for i, value in enumerate(shown) if known and value == max(known)})
    return found


def task_name(name: str) -> str:
    """A task's name, which the table may not give."""
    return name or "(no task)"


def heat_map(document: Document) -> Markup:
    """Arms down, by falling quality; tasks across."""
    details = document.details
    low, high = _range([value for row in details.task_quality for value in row])
    best = best_per_task(document)
    head = tag(
        "tr",
        tag("th", "Arm", scope="col", class_="corner"),
        *(
            tag("th", tag("span", task_name(task.name)), scope="col", class_="turned")
            for task in details.tasks
        ),
    )
    sizes = tag(
        "tr",
        tag("th", "queries", scope="row", class_="corner muted"),
        *(tag("td", count(task.queries), class_="muted") for task in details.tasks),
    )
    rows = [
        tag(
            "tr",
            tag("th", details.arms[arm].name, scope="row"),
            *(
                _cell(row[arm], arm in best[task], low, high)
                for task, row in enumerate(details.task_quality)
            ),
        )
        for arm in arm_order(document)
    ]
    table = tag("table", tag("thead", head, sizes), tag("tbody", *rows), class_="heat")
    return tag("div", tag("div", table, class_="scroll", tabindex="0"), _legend(low, high))


def _cell(value: float | None, is_best: bool, low: float, high: float) -> Markup:
    if value is None:
        return tag("td", MISSING, class_="muted")
    share = (value - low) / (high - low)
    shade = min(SHADES - 1, max(0, int(share * SHADES)))
    text = decimal(value, 2).replace("0.", ".", 1) if 0 <= value < 0.995 else decimal(value, 2)
    return tag(
        "td", tag("b", text) if is_best else text, class_=f"h{shade}{' top' if is_best else ''}"
    )


def _range(values: list[float | None]) -> tuple[float, float]:
    """The tenths around the values."""
    known = [value for value in values if value is not None]
    if not known:
        return 0.0, 1.0
    low, high = floor(min(known) * 10) / 10, ceil(max(known) * 10) / 10
    return (low, high) if high > low else (low, low + 0.1)


def _legend(low: float, high: float) -> Markup:
    steps = (tag("i", class_=f"h{shade}") for shade in range(SHADES))
    ramp = tag("span", *steps, class_="ramp", aria_hidden="true")
    return tag(
        "p",
        tag("span", f"{low:.1f} ", ramp, f" {high:.1f}"),
        tag("span", tag("b", " .93 ", class_="top"), " best arms of the task (at two digits)"),
        class_="legend",
    )  # fmt: skip
