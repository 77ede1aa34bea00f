"""Rows by domain: a radar of the main ones, and bars of all with what they are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import count, decimal, points
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.radar import LEAST_AXES, radar
from fusionfactory.report.row_tables import numbers_table
from fusionfactory.report.row_words import gain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.report.row_words import Look
    from fusionfactory.report.rows import DomainFacts, Figures, RowFacts, Rows

__all__ = ["domains_part"]

_BARS = (
    "Mean quality by domain. The dashed line is {label}; the thin bar is the 95 % interval of "
    "the paired difference to it: a row whose thin bar crosses the line is not clear of chance."
)


def domains_part(rows: Rows, shown: Sequence[RowFacts], caption: str, look: Look) -> Markup:
    """All domains.

    Args:
        rows: The comparison.
        shown: The rows of the radar.
        caption: Of the radar.
        look: What the rows are held against, and their colours.
    """
    names = [domain.title for domain in rows.domains]
    parts: list[Markup] = []
    if len(names) >= LEAST_AXES:
        parts.append(tag("figure", tag("p", caption), radar(names, _lines(shown)), class_="around"))
    panels = (_panel(rows, place, domain, look) for place, domain in enumerate(rows.domains))
    return join(
        tag("h3", "Domains"),
        *parts,
        tag("p", _BARS.format(label=look.label)),
        _key(look),
        tag("div", *panels, class_="panels"),
        tag(
            "details",
            tag("summary", "The domains in numbers"),
            numbers_table(rows.rows, rows.domains, [row.domains for row in rows.rows], look),
        ),
    )


def _lines(rows: Sequence[RowFacts]) -> list[tuple[str, list[float | None]]]:
    """Names and values by domain; rows that are the same everywhere share a line."""
    found: list[tuple[str, list[float | None]]] = []
    for row in rows:
        values = [figures.quality for figures in row.domains]
        same = next((i for i, (_, others) in enumerate(found) if others == values), None)
        if same is None:
            found.append((row.label, values))
        else:
            found[same] = (f"{found[same][0]} = {row.label}", values)
    return found


def _key(look: Look) -> Markup:
    items = (
        tag("li", tag("span", "", class_=f"dab {kind}"), name) for kind, name in look.key.items()
    )
    return tag("ul", *items, class_="key")


def _panel(rows: Rows, place: int, domain: DomainFacts, look: Look) -> Markup:
    base = rows.row(look.base)
    level = None if base is None else base.domains[place].quality
    lines = (part for row in rows.rows for part in _bar(row, row.domains[place], level, look))
    tasks = f"{count(domain.tasks)} task{'' if domain.tasks == 1 else 's'}"
    return tag(
        "section",
        tag("h4", domain.title, tag("small", f" {tasks}, {count(domain.queries)} queries")),
        tag("div", *lines, *_axis(), class_="levels"),
        class_="panel",
    )


def _bar(row: RowFacts, figures: Figures, level: float | None, look: Look) -> Iterable[Markup]:
    """Name, bar and value of one row: three cells of a grid."""
    parts = []
    if figures.quality is not None:
        style = f"width:{_share(figures.quality)}"
        parts.append(tag("i", class_=f"fill {look.colour(row)}", style=style))
    if level is not None:
        parts.append(tag("i", class_="zero-level", style=f"left:{_share(level)}"))
    gain = figures.over(look.base)
    pair = gain.interval if gain else None
    is_base = row.name == look.base
    if level is not None and pair is not None and not is_base:
        low, high = (min(1.0, max(0.0, level + end)) for end in pair)
        style = f"left:{_share(low)};width:{_share(high - low)}"
        parts.append(tag("i", class_="span", style=style))
    size = gain.gain if gain and not is_base else None
    change = tag("small", "" if size is None else f" {points(size)}")
    title = f"{row.label}: {decimal(figures.quality)}, {gain_words(gain)} against {look.label}"
    yield tag("span", row.label, class_="level name")
    yield tag("span", *parts, class_="level track", title=title)
    yield tag("span", decimal(figures.quality), change, class_="level value")


def _axis() -> list[Markup]:
    ends = (tag("span", "0"), tag("span", "1"))
    return [tag("span"), tag("span", *ends, class_="level ends", aria_hidden="true"), tag("span")]


def _share(value: float) -> str:
    return f"{100 * value:.2f}%"
