"""The arms in numbers, and arms and routers by quality where no cost is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import decimal, significant, usd
from fusionfactory.report.markup import Markup, tag
from fusionfactory.report.pareto import arm_order, undominated

if TYPE_CHECKING:
    from fusionfactory.report.document import Document

__all__ = ["arm_table", "quality_ranking"]

_HEADS = ("#", "Arm", "Quality", "USD per 1,000", "USD per million in", "out", "")


def arm_table(document: Document) -> Markup:
    """Numbered as in the phone's plot."""
    front = undominated(document)
    rows = []
    for rank, column in enumerate(arm_order(document)):
        arm = document.details.arms[column]
        remarks = ["beaten by none in both"] if column in front else []
        if column == document.best_single_arm:
            remarks.insert(0, "best single arm on train")
        cells = (
            decimal(arm.quality),
            usd(arm.cost_usd),
            significant(arm.input_price),
            significant(arm.output_price),
        )
        rows.append(
            tag(
                "tr",
                tag("td", str(rank + 1)),
                tag("th", arm.name, scope="row"),
                *(tag("td", cell) for cell in cells),
                tag("td", ", ".join(remarks), class_="words"),
            )
        )
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in _HEADS)))
    table = tag("table", head, tag("tbody", *rows), class_="numbers")
    return tag(
        "details",
        tag("summary", "The arms in numbers (and the key of the numbered dots)"),
        tag("div", table, class_="scroll", tabindex="0"),
    )


def quality_ranking(document: Document) -> Markup:
    """A bar per arm, router and baseline, from 0."""
    rows = document.scenarios[document.first]
    found = [(arm.name, "arm", arm.quality) for arm in document.details.arms]
    found += [
        (row.router, "baseline" if row.is_baseline else "router", row.quality) for row in rows
    ]
    ranked = sorted(found, key=lambda item: -(item[2] or 0.0))
    lines = (
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", kind, class_="words"),
            tag(
                "td",
                tag(
                    "span",
                    tag("i", style=f"width:{100 * min(1.0, max(0.0, quality or 0.0)):.1f}%"),
                    class_=f"meter {kind}",
                ),
            ),
            tag("td", decimal(quality)),
        )
        for name, kind, quality in ranked
    )
    return tag("table", tag("tbody", *lines), class_="coverage ranking")
