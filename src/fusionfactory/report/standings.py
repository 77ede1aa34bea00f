"""Leaderboards: one table per scenario, with the interval of every row drawn beside its numbers."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from fusionfactory.report.columns import Column, columns_of, verdict_words
from fusionfactory.report.figures import decimal, interval, points
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.scales import Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.document import Document, Row

__all__ = ["standings"]

_WIDTH, _HEIGHT = 120.0, 22.0
_OUTLIER = 6.0
_VERDICT = "Verdict"
_SIGNS = {"better": "▲", "worse": "▼", "same": "●", "none": ""}


def standings(document: Document) -> Markup:
    """All scenarios, one after the other; a script may turn them into tabs."""
    boards = (_board(document, name) for name, rows in document.scenarios.items() if rows)
    return tag("div", *boards, class_="boards")


def _board(document: Document, scenario: str) -> Markup:
    rows = document.scenarios[scenario]
    columns = columns_of(document)
    scale = _scale(document, scenario)
    baselines = [row for row in rows if row.is_baseline]
    split = tag(
        "tr",
        tag("th", "Baselines, for comparison", scope="colgroup", colspan=str(len(columns) + 4)),
        class_="split",
    )
    body = tag(
        "tbody", *(_row(document, scenario, r, columns, scale) for r in document.routers(scenario))
    )
    rest = tag(
        "tbody",
        split,
        *(_row(document, scenario, r, columns, scale) for r in baselines),
        class_="base",
    )
    table = tag(
        "table", _head(document, columns), body, rest if baselines else None, class_="board"
    )
    return tag(
        "section",
        tag("h3", scenario),
        tag("div", table, class_="scroll", tabindex="0"),
        class_="scenario",
        data_name=scenario,
    )


def _head(document: Document, columns: Sequence[Column]) -> Markup:
    groups: dict[str, int] = {}
    for column in columns:
        groups[column.group] = groups.get(column.group, 0) + 1
    first = next(iter(groups))
    groups[first] += 3
    top = [tag("td"), *(tag("th", g, scope="colgroup", colspan=str(n)) for g, n in groups.items())]
    quality, *others = columns
    heads = [
        _heading("Router", "Router or baseline, as it was specified."),
        _heading(quality.heading, quality.meaning),
        _heading(
            "vs best single, points",
            "Quality minus the best single arm's on the same queries, in points of .01: "
            "the dot is the difference, the bar its 95 % interval, the line is 0.",
        ),
        _heading(_VERDICT, "Better or worse in quality: the interval leaves out 0; else unclear."),
        *(_heading(c.heading, c.meaning) for c in others),
    ]
    gain = _heading(
        "vs single, points", "95 % interval of reward minus the best single arm's, in points."
    )
    at = 4 + [c.key for c in others].index("reward") + 1
    heads.insert(at, gain)
    return tag("thead", tag("tr", *top, class_="groups"), tag("tr", *heads, class_="heads"))


def _heading(name: str, meaning: str) -> Markup:
    return tag("th", tag("span", name), scope="col", title=meaning)


def _row(
    document: Document, scenario: str, row: Row, columns: Sequence[Column], scale: Scale
) -> Markup:
    sign, words = verdict_words(row)
    gain = document.gain(scenario, row)
    quality, *others = columns
    spread = None
    if row.quality_sd and (document.table.seeds or 1) > 1:
        spread = tag("small", f"±{decimal(row.quality_sd)}", title="standard deviation over seeds")
    cells = [
        tag("th", row.router, scope="row"),
        _cell(quality, row, join(quality.text(row), spread)),
        _difference(row, gain, scale),
        tag("td", tag("span", f"{_SIGNS[sign]} {words}".strip(), class_=f"verdict {sign}"),
            class_="words", title=row.verdict),
    ]  # fmt: skip
    for column in others:
        extra = None
        if column.key == "scored_share" and not row.fully_scored:
            extra = tag("span", " ⚠", title="means over these picks only")
        cells.append(_cell(column, row, join(column.text(row), extra)))
        if column.key == "reward":
            pair = None if row.router == "best_single" else row.reward_interval
            cells.append(tag("td", interval(pair), data_value=_raw(pair and pair[0])))
    return tag("tr", *cells)


def _cell(column: Column, row: Row, content: Markup) -> Markup:
    return tag("td", content, data_value=_raw(column.value(row)))


def _raw(value: float | None) -> str | None:
    return None if value is None else f"{value:.9g}"


def _difference(row: Row, gain: float | None, scale: Scale) -> Markup:
    if row.router == "best_single":
        return tag("td", tag("span", "0", class_="figure"), data_value="0", class_="gain")
    pair = row.interval
    size = f"{points(gain)} " if gain is not None else ""
    raw = gain if gain is not None else (None if pair is None else (pair[0] + pair[1]) / 2)
    drawing = None if pair is None else _whisker(pair, gain, scale)
    numbers = tag("span", tag("b", size), interval(pair), class_="figure")
    return tag("td", drawing, numbers, data_value=_raw(raw), class_="gain")


def _whisker(pair: tuple[float, float], gain: float | None, scale: Scale) -> Markup:
    middle = _HEIGHT / 2
    low, high = (min(max(value, scale.low), scale.high) for value in pair)
    parts = [tag("line", x1=scale(0), x2=scale(0), y1=0, y2=_HEIGHT, class_="null")]
    if pair[1] < scale.low or pair[0] > scale.high:
        x = scale.start if pair[1] < scale.low else scale.end
        inward = 7 if pair[1] < scale.low else -7
        base = x + inward
        tip = f"{x:.1f},{middle:g} {base:.1f},{middle - 5:g} {base:.1f},{middle + 5:g}"
        parts.append(tag("polygon", points=tip, class_="beyond"))
    else:
        parts.append(
            tag("line", x1=scale(low), x2=scale(high), y1=middle, y2=middle, class_="whisker")
        )
        for value in pair:
            if scale.holds(value):
                x = scale(value)
                parts.append(
                    tag("line", x1=x, x2=x, y1=middle - 4, y2=middle + 4, class_="whisker")
                )
        if gain is not None and scale.holds(gain):
            parts.append(tag("circle", cx=scale(gain), cy=middle, r=3.6, class_="dot"))
    view = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    return tag(
        "svg",
        *parts,
        class_="whiskers",
        viewBox=view,
        width=_WIDTH,
        height=_HEIGHT,
        aria_hidden="true",
    )


def _scale(document: Document, scenario: str) -> Scale:
    """Wide enough for the routers; what is far beyond them becomes an arrow at the edge."""
    rows = document.routers(scenario) or document.scenarios[scenario]
    reaches = [max(map(abs, row.interval)) for row in rows if row.interval]
    reaches = [reach for reach in reaches if reach > 0] or [0.01]
    near = [reach for reach in reaches if reach <= _OUTLIER * median(reaches)]
    reach = max(near) * 1.1
    return Scale(-reach, reach, 6, _WIDTH - 6)
