"""A difference and its interval, drawn small enough for a cell of a table."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from fusionfactory.report.markup import Markup, tag
from fusionfactory.report.scales import Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.parts import Point

__all__ = ["whisker", "whisker_scale"]

_WIDTH, _HEIGHT = 110.0, 22.0
_OUTLIER = 4.0


def whisker_scale(pairs: Sequence[Point]) -> Scale:
    """Wide enough for the intervals; what is far beyond most of them becomes an arrow."""
    if not pairs:
        return Scale(-0.01, 0.01, 6, _WIDTH - 6)
    usual = _OUTLIER * median(max(map(abs, pair)) for pair in pairs)
    ends = [0.0, *(end for pair in pairs if max(map(abs, pair)) <= usual for end in pair)]
    return Scale.around(ends, 6, _WIDTH - 6, pad=0.08)


def whisker(pair: Point, gain: float | None, scale: Scale) -> Markup:
    """The interval as a bar with ends, the difference as a dot, 0 as a dotted line."""
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
