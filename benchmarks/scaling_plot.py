"""The picture of `scaling.py`: seconds, memory and disk against outcomes, on logarithmic axes."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.plotting import Frame, Series, axes, line, mark, text
from fusionfactory.report.scales import Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

PANELS = (("seconds", "seconds"), ("peak_mib", "peak memory, MiB"), ("disk_mib", "disk, MiB"))
WIDTH, HEIGHT, LEFT, GAP, TOP = 330.0, 300.0, 62.0, 78.0, 40.0
ROW, COLUMNS = 22.0, 5


def draw(found: Sequence[dict[str, Any]]) -> str:
    """An SVG file of its own: a panel per figure, a line per step, and a legend below."""
    found = [row for row in found if row["step"] != "nothing" and "failed" not in row]
    steps = dict.fromkeys((row["where"], row["step"]) for row in found)
    series = {step: Series(number) for number, step in enumerate(steps)}
    panels = [_panel(found, series, place, *named) for place, named in enumerate(PANELS)]
    width = LEFT + len(PANELS) * (WIDTH + GAP) - GAP + 20
    height = TOP + HEIGHT + 70 + ROW * -(-len(series) // COLUMNS)
    legend = [
        _entry(step, mine, LEFT + number % COLUMNS * (width - LEFT) / COLUMNS,
               TOP + HEIGHT + 66 + ROW * (number // COLUMNS))
        for number, (step, mine) in enumerate(series.items())
    ]  # fmt: skip
    style = resources.files("fusionfactory.report").joinpath("style.css").read_text("utf-8")
    page = tag("rect", width=width, height=height, style="fill: var(--page)")
    sheet = tag("style", Markup(f"<![CDATA[{style}]]>"))
    drawing = tag(
        "svg", sheet, page, *panels, *legend,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=width, height=height, font_family="system-ui, sans-serif",
    )  # fmt: skip
    return f"{drawing}\n"


def _panel(
    found: Sequence[dict[str, Any]],
    series: dict[tuple[str, str], Series],
    place: int,
    figure: str,
    title: str,
) -> Markup:
    left = LEFT + place * (WIDTH + GAP)
    told = [row for row in found if row.get(figure)]
    if not told:
        return Markup("")
    sizes, values = [row["outcomes"] for row in told], [row[figure] for row in told]
    frame = Frame(
        Scale.around(sizes, left, left + WIDTH, log=True),
        Scale.around(values, TOP + HEIGHT, TOP, log=True),
        WIDTH, HEIGHT, wide=False,
    )  # fmt: skip
    parts = [axes(frame, "outcomes", title, _count)]
    for step, mine in series.items():
        rows = [row for row in told if (row["where"], row["step"]) == step]
        pixels = [frame.at((row["outcomes"], row[figure])) for row in rows]
        if pixels:
            parts.append(line(pixels, f"curve {mine.colour}", title=_name(step), dash=mine.dash))
        parts += [mark(mine.number, spot, f"mark {mine.colour}") for spot in pixels]
    return tag("g", *parts)


def _entry(step: tuple[str, str], mine: Series, x: float, y: float) -> Markup:
    stroke = line([(x, y - 4), (x + 30, y - 4)], f"curve {mine.colour}", dash=mine.dash)
    sign = mark(mine.number, (x + 15, y - 4), f"mark {mine.colour}")
    return tag("g", join(stroke, sign), text(x + 38, y, _name(step), "tick"))


def _count(value: float) -> str:
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k"


def _name(step: tuple[str, str]) -> str:
    return f"{step[0]}: {step[1].replace('_', ' ')}"
