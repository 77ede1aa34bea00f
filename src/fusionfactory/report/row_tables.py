"""Gains of rows in the cells of tables: drawn as whiskers, or in numbers by task and domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import MISSING, count, decimal
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.row_words import gain_words
from fusionfactory.report.whiskers import whisker, whisker_scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.report.row_words import Look
    from fusionfactory.report.rows import DomainFacts, Figures, GainFacts, RowFacts, TaskFacts
    from fusionfactory.report.scales import Scale

__all__ = ["gain_cell", "gain_scale", "numbers_table", "scroll"]


def scroll(table: Markup) -> Markup:
    """A table that may be wider than the page."""
    return tag("div", table, class_="scroll", tabindex="0")


def gain_scale(gains: Iterable[GainFacts | None]) -> Scale:
    """The axis of a column of whiskers; a row held against itself does not count."""
    return whisker_scale([g.interval for g in gains if g and g.interval and g.interval != (0, 0)])


def gain_cell(words: str, gain: GainFacts | None, scale: Scale) -> Markup:
    """A gain as a whisker and in words; in words alone where it has no interval."""
    pair = gain.interval if gain else None
    if words == MISSING or gain is None or pair is None:
        return tag("td", words, class_="gain")
    size, _, rest = words.partition(" ")
    told = tag("span", tag("b", size, class_=_verdict(gain)), f" {rest}", class_="figure")
    return tag("td", whisker(pair, gain.gain, scale), told, class_="gain")


def numbers_table(
    rows: Sequence[RowFacts],
    columns: Sequence[TaskFacts] | Sequence[DomainFacts],
    figures: Sequence[Sequence[Figures]],
    look: Look,
) -> Markup:
    """Rows down and tasks or domains across: quality, and under it the gain.

    Args:
        rows: Of the comparison.
        columns: Tasks or domains.
        figures: Per row, those of the columns.
        look: What the rows are held against.
    """
    head = tag(
        "tr",
        tag("th", "Row", scope="col"),
        *(
            tag("th", column.title, tag("small", f" {count(column.queries)}"), scope="col")
            for column in columns
        ),
    )
    lines = (
        tag("tr", tag("th", row.label, scope="row"), *(_number(row, part, look) for part in parts))
        for row, parts in zip(rows, figures, strict=True)
    )
    table = tag("table", tag("thead", head), tag("tbody", *lines), class_="numbers gains")
    text = (
        f"Quality, and below it the gain over {look.label} in points with its 95 % interval; "
        "beside each name the number of queries."
    )
    return join(tag("p", text), scroll(table))


def _number(row: RowFacts, figures: Figures, look: Look) -> Markup:
    if row.name == look.base:
        return tag("td", tag("b", decimal(figures.quality)))
    gain = figures.over(look.base)
    words = tag("small", gain_words(gain), class_=_verdict(gain))
    return tag("td", tag("b", decimal(figures.quality)), tag("br"), words)


def _verdict(gain: GainFacts | None) -> str | None:
    """A class for what is clear of chance."""
    pair = gain.interval if gain else None
    if pair is None or pair[0] <= 0 <= pair[1]:
        return None
    return f"verdict {'better' if pair[0] > 0 else 'worse'}"
