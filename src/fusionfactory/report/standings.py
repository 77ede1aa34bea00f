"""Leaderboards: one table per scenario, with the interval of every row drawn beside its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from fusionfactory.report.columns import Column, columns_of, verdict_words
from fusionfactory.report.figures import decimal, interval, points
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.whiskers import whisker, whisker_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.document import Document, Row
    from fusionfactory.report.scales import Scale

__all__ = ["standings"]

_GAIN = "vs best single, points"
_GAIN_MEANING = (
    "Quality minus the best single arm's on the same queries, in points of .01: the dot is the "
    "difference, the bar its 95 % interval, the dotted line 0; an arrow is off the axis."
)
_VERDICT = "Quality is"
_VERDICT_MEANING = "Better or worse than the best single arm's if the interval leaves out 0."
_REWARD_GAIN = "vs single, points"
_REWARD_GAIN_MEANING = "95 % interval of reward minus the best single arm's, in points of .01."
_SIGNS = {"better": "▲", "worse": "▼", "same": "●", "none": ""}


@dataclass(frozen=True)
class _Board:
    """One scenario's table: what it shows and the axis that its intervals are drawn on."""

    document: Document
    scenario: str
    columns: Sequence[Column]
    scale: Scale
    weighs_cost: bool


def standings(document: Document) -> Markup:
    """All scenarios, one after the other; a script may turn them into tabs."""
    boards = (_section(document, name) for name, rows in document.scenarios.items() if rows)
    return tag("div", *boards, class_="boards")


def _section(document: Document, scenario: str) -> Markup:
    rows = document.scenarios[scenario]
    differs = any(row.reward_interval not in {None, row.interval} for row in rows)
    columns = columns_of(document)
    board = _Board(document, scenario, columns, _scale(document, scenario), differs)
    baselines = [_row(board, row) for row in rows if row.is_baseline]
    title = tag("th", "Baselines, for comparison", scope="colgroup", colspan=str(len(columns) + 4))
    table = tag(
        "table",
        _head(board),
        tag("tbody", *(_row(board, row) for row in rows if not row.is_baseline)),
        tag("tbody", tag("tr", title, class_="split"), *baselines, class_="base"),
        class_="board",
    )
    return tag(
        "section",
        tag("h3", scenario),
        tag("div", table, class_="scroll", tabindex="0"),
        class_="scenario",
        data_name=scenario,
    )


def _head(board: _Board) -> Markup:
    heads = [_heading("Router", "Router or baseline, as it was specified.")]
    groups = [""]
    for column in board.columns:
        heads.append(_heading(column.heading, column.meaning))
        if column.key == "quality":
            heads.append(_heading(_GAIN, _GAIN_MEANING))
            heads.append(_heading(_VERDICT, _VERDICT_MEANING, sortable=False))
        if column.key == "reward" and board.weighs_cost:
            heads.append(_heading(_REWARD_GAIN, _REWARD_GAIN_MEANING))
        groups += [column.group] * (len(heads) - len(groups))
    top = [tag("td")]
    for group, members in groupby(groups[1:]):
        top.append(tag("th", group, scope="colgroup", colspan=str(len(list(members)))))
    return tag("thead", tag("tr", *top, class_="groups"), tag("tr", *heads, class_="heads"))


def _heading(name: str, meaning: str, *, sortable: bool = True) -> Markup:
    return tag("th", tag("span", name), scope="col", title=meaning, data_fixed=not sortable)


def _row(board: _Board, row: Row) -> Markup:
    cells = [tag("th", row.router, scope="row")]
    for column in board.columns:
        cells.append(tag("td", _content(board, column, row), data_value=_raw(column.value(row))))
        if column.key == "quality":
            cells += [_difference(row, board.document.gain(board.scenario, row), board.scale)]
            cells += [_verdict(row)]
        if column.key == "reward" and board.weighs_cost:
            pair = None if row.router == "best_single" else row.reward_interval
            cells.append(tag("td", interval(pair), data_value=_raw(pair and pair[0])))
    return tag("tr", *cells)


def _content(board: _Board, column: Column, row: Row) -> Markup:
    extra = None
    if column.key == "quality" and row.quality_sd and (board.document.table.seeds or 1) > 1:
        title = "standard deviation over seeds"
        extra = tag("small", f"±{decimal(row.quality_sd)}", title=title)
    if column.key == "scored_share" and not row.fully_scored:
        extra = tag("span", " ⚠", title="means over these picks only")
    return join(column.text(row), extra)


def _verdict(row: Row) -> Markup:
    sign, words = verdict_words(row)
    text = tag("span", f"{_SIGNS[sign]} {words}".strip(), class_=f"verdict {sign}")
    return tag("td", text, class_="words", title=row.verdict)


def _raw(value: float | None) -> str | None:
    return None if value is None else f"{value:.9g}"


def _difference(row: Row, gain: float | None, scale: Scale) -> Markup:
    if row.router == "best_single":
        return tag("td", tag("span", "0", class_="figure"), data_value="0", class_="gain")
    pair = row.interval
    size = f"{points(gain)} " if gain is not None else ""
    raw = gain if gain is not None else (None if pair is None else (pair[0] + pair[1]) / 2)
    drawing = None if pair is None else whisker(pair, gain, scale)
    numbers = tag("span", tag("b", size), interval(pair), class_="figure")
    return tag("td", drawing, numbers, data_value=_raw(raw), class_="gain")


def _scale(document: Document, scenario: str) -> Scale:
    rows = document.routers(scenario) or document.scenarios[scenario]
    pairs = [row.interval for row in rows if row.interval and row.interval != (0.0, 0.0)]
    return whisker_scale(pairs)
