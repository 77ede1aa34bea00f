"""Who gets what: the share of the queries that each router sends to each arm, by task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import MISSING, count, percent
from fusionfactory.report.findings import collapses
from fusionfactory.report.heatmap import task_name
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.plotting import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.document import Document

__all__ = ["shown_routers", "who_gets_what"]

_NUMBER_FROM = 0.09


def shown_routers(document: Document) -> list[str]:
    """Routers with counts, then the two rivals whose picks are worth a look."""
    names = [*document.router_names, "task_best"]
    return [name for name in names if any(document.arm_totals(name))]


def who_gets_what(document: Document) -> Markup:
    """A panel of stacked bars per router, with a key of the arms and the numbers behind."""
    routers = shown_routers(document)
    ranked = _ranked(document, routers)
    places = {arm: place for place, arm in enumerate(ranked[:COLOURS])}
    collapsed = {router for router, _, _ in collapses(document)}
    panels = (_panel(document, router, places, router in collapsed) for router in routers)
    return join(
        _key(document, ranked),
        tag("div", *panels, class_="panels"),
        tag(
            "details",
            tag("summary", "The shares in numbers"),
            tag("div", _numbers(document, routers, ranked), class_="scroll", tabindex="0"),
        ),
    )


def _ranked(document: Document, routers: Sequence[str]) -> list[int]:
    """Columns of the arms in use, the busiest over all routers first."""
    totals = [
        sum(column) for column in zip(*(document.arm_totals(r) for r in routers), strict=True)
    ]
    return [arm for arm in sorted(range(len(totals)), key=lambda i: -totals[i]) if totals[arm]]


def _key(document: Document, ranked: Sequence[int]) -> Markup:
    items = [
        tag(
            "li", tag("i", str(place + 1), class_=f"chip f{place}"), document.details.arms[arm].name
        )
        for place, arm in enumerate(ranked[:COLOURS])
    ]
    others = len(ranked) - COLOURS
    if others > 0:
        name = f"{others} other arm{'s' if others > 1 else ''}"
        items.append(tag("li", tag("i", "…", class_="chip f-other"), name))
    return tag("ul", *items, class_="key")


def _panel(document: Document, router: str, places: dict[int, int], collapsed: bool) -> Markup:
    counts = document.details.shares[router]
    bars = [_bar("all", document.arm_totals(router), document, places, "bar all")]
    for task, row in zip(document.details.tasks, counts, strict=True):
        bars.append(_bar(task_name(task.name), row, document, places, "bar"))
    return tag(
        "section",
        tag("h4", router, tag("em", "! one arm", class_="tell") if collapsed else None),
        tag("div", *bars, class_="bars"),
        class_="panel",
    )


def _bar(
    name: str, counts: Sequence[int], document: Document, places: dict[int, int], class_: str
) -> Markup:
    total = sum(counts)
    parts = []
    by_place = sorted(range(len(counts)), key=lambda arm: (places.get(arm, COLOURS), -counts[arm]))
    for arm in by_place:
        if not counts[arm]:
            continue
        share = counts[arm] / total
        place = places.get(arm)
        label = ("…" if place is None else str(place + 1)) if share >= _NUMBER_FROM else ""
        title = f"{name}: {document.details.arms[arm].name} {percent(share)} of {count(total)}"
        colour = "f-other" if place is None else f"f{place}"
        parts.append(tag("i", label, class_=colour, style=f"width:{100 * share:.2f}%", title=title))
    empty = None if total else tag("em", "no test query")
    return join(
        tag("span", name, class_=f"{class_} name", title=name),
        tag("span", empty, *parts, class_=f"{class_} track"),
    )


def _numbers(document: Document, routers: Sequence[str], ranked: Sequence[int]) -> Markup:
    head = [tag("th", "Router", scope="col")]
    head += [tag("th", document.details.arms[arm].name, scope="col") for arm in ranked]
    rows = []
    for router in routers:
        totals = document.arm_totals(router)
        cells = (
            tag("td", percent(totals[arm] / sum(totals)) if totals[arm] else MISSING)
            for arm in ranked
        )
        rows.append(tag("tr", tag("th", router, scope="row"), *cells))
    return tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_="numbers")
