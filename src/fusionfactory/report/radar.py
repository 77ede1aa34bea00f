"""Rows by domain as closed lines around a centre, as in the paper's Figure 6."""

from __future__ import annotations

from math import ceil, cos, floor, pi, sin
from typing import TYPE_CHECKING

from fusionfactory.report.figures import decimal, tick
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.plotting import Series, mark, swatch, text
from fusionfactory.report.scales import Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.parts import Point

__all__ = ["LEAST_AXES", "radar"]

LEAST_AXES = 3
"""Domains below which a radar has no area."""

_WIDTH = 560.0
_MARGIN = 34.0
_REACH = 165.0
_CENTRE = (_WIDTH / 2, _REACH + _MARGIN)
_HUB = 12.0
_RINGS = 5


def radar(axes: Sequence[str], lines: Sequence[tuple[str, Sequence[float | None]]]) -> Markup:
    """The drawing and its key.

    Args:
        axes: Names, clockwise from the top; at least `LEAST_AXES`.
        lines: Names and values on the axes; a line with an unknown value is not closed.
    """
    known = [value for _, values in lines for value in values if value is not None]
    low, high = (
        floor(min(known, default=0.0) * 10 - 0.5) / 10,
        ceil(max(known, default=1.0) * 10) / 10,
    )
    scale = Scale(max(0.0, low), high if high > max(0.0, low) else low + 0.1, _HUB, _REACH)
    drawn = [
        _line(Series(number), name, axes, values, scale)
        for number, (name, values) in enumerate(lines)
    ]
    lowest = max(_spot(axis, len(axes), _REACH)[1] for axis in range(len(axes)))
    title = "Mean quality by domain: " + ", ".join(name for name, _ in lines)
    drawing = tag(
        "svg",
        tag("title", title),
        _web(axes, scale),
        *drawn,
        class_="plot radar",
        viewBox=f"0 0 {_WIDTH:g} {lowest + _MARGIN:g}",
        role="img",
    )
    key = (tag("li", swatch(Series(number)), name) for number, (name, _) in enumerate(lines))
    return join(drawing, tag("ul", *key, class_="key"))


def _spot(axis: int, count: int, radius: float) -> Point:
    angle = 2 * pi * axis / count - pi / 2
    return _CENTRE[0] + radius * cos(angle), _CENTRE[1] + radius * sin(angle)


def _web(axes: Sequence[str], scale: Scale) -> Markup:
    count = len(axes)
    parts = []
    for value in scale.ticks(_RINGS):
        corners = [_spot(axis, count, scale(value)) for axis in range(count)]
        parts.append(tag("polygon", points=_path(corners), class_="ring"))
    for axis, name in enumerate(axes):
        x, y = _spot(axis, count, _REACH)
        parts.append(tag("line", x1=_CENTRE[0], y1=_CENTRE[1], x2=x, y2=y, class_="grid"))
        x, y = _spot(axis, count, _REACH + 14)
        side = "middle" if abs(x - _CENTRE[0]) < 8 else "" if x > _CENTRE[0] else "end"
        parts.append(text(x, y + 4, name, f"axis {side}"))
    x, y = _CENTRE
    values = (text(x + 5, y - scale(v) + 4, tick(v), "tick haloed") for v in scale.ticks(_RINGS))
    return tag("g", *parts, *values)


def _line(
    series: Series, name: str, axes: Sequence[str], values: Sequence[float | None], scale: Scale
) -> Markup:
    spots = [
        (axis, value, _spot(axis, len(axes), scale(value)))
        for axis, value in enumerate(values)
        if value is not None
    ]
    kind = f"curve {series.colour}"
    shape = "polygon" if len(spots) == len(axes) else "polyline"
    outline = tag(shape, points=_path([spot for _, _, spot in spots]), class_=kind,
                  stroke_dasharray=series.dash)  # fmt: skip
    marks = (
        mark(series.number, spot, f"mark {series.colour}",
             title=f"{name}, {axes[axis]}: {decimal(value)}")
        for axis, value, spot in spots
    )  # fmt: skip
    return tag("g", outline, *marks, class_="router", data_router=str(series.number))


def _path(spots: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
