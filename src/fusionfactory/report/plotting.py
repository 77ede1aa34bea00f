"""What every plot is drawn with: frame, ticks, lines, and marks told apart by shape and colour."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin
from typing import TYPE_CHECKING

from fusionfactory.report.figures import tick
from fusionfactory.report.markup import Markup, join, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fusionfactory.report.parts import Point
    from fusionfactory.report.scales import Scale

__all__ = ["COLOURS", "STAR", "Frame", "Series", "axes", "line", "mark", "swatch", "text"]

COLOURS = 8
_DASHES = (None, "7 3", "2 3", "9 3 2 3")
_NEAR_PX = 0.4


@dataclass(frozen=True)
class Series:
    """How the i-th router looks everywhere: colour, shape of its mark and dash of its line."""

    number: int

    @property
    def colour(self) -> str:
        """Class that sets the colour."""
        return f"s{self.number % COLOURS}"

    @property
    def dash(self) -> str | None:
        """Dash pattern, which changes when the colours are used up."""
        return _DASHES[self.number // COLOURS % len(_DASHES)]


@dataclass(frozen=True)
class Frame:
    """A plot's axes, and whether it is the wide or the phone's drawing.

    Attributes:
        x: USD per query to pixels.
        y: Quality to pixels.
        width: Of the whole drawing.
        height: Of the whole drawing.
        wide: Whether there is room for names.
    """

    x: Scale
    y: Scale
    width: float
    height: float
    wide: bool

    def at(self, point: Point) -> Point:
        """Pixels of (USD per query, quality)."""
        return self.x(point[0]), self.y(point[1])

    def holds(self, point: Point) -> bool:
        """Whether the point is inside the axes."""
        return self.x.holds(point[0]) and self.y.holds(point[1])

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the axes in pixels."""
        return self.x.start, self.y.end, self.x.end, self.y.start


def axes(frame: Frame, x_title: str, y_title: str, x_text: Callable[[float], str]) -> Markup:
    """Grid, ticks and titles of both axes."""
    left, top, right, bottom = frame.bounds
    parts = [tag("rect", x=left, y=top, width=right - left, height=bottom - top, class_="plane")]
    for value in frame.y.ticks(8):
        y = frame.y(value)
        parts.append(tag("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(text(left - 8, y + 4, tick(value), "tick end"))
    for value in frame.x.ticks(10 if frame.wide else 5):
        x = frame.x(value)
        parts.append(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid"))
        parts.append(text(x, bottom + 17, x_text(value), "tick middle"))
    parts.append(text((left + right) / 2, bottom + 38, x_title, "axis middle"))
    parts.append(text(left, top - 9, y_title, "axis"))
    return tag("g", *parts)


def line(
    pixels: Sequence[Point], class_: str, *, title: str = "", dash: str | None = None
) -> Markup:
    """A line through points, those that fall on the one before left out."""
    kept = list(pixels[:1])
    for x, y in pixels[1:]:
        if abs(x - kept[-1][0]) > _NEAR_PX or abs(y - kept[-1][1]) > _NEAR_PX:
            kept.append((x, y))
    if len(kept) < 2:
        return Markup("")
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)
    name = tag("title", title) if title else None
    return tag("g", name, tag("polyline", points=path, class_=class_, stroke_dasharray=dash))


def mark(shape: int, spot: Point, class_: str, *, title: str = "", size: float = 4.5) -> Markup:
    """One of eight shapes around a spot."""
    x, y = spot
    name = tag("title", title) if title else None
    if shape % COLOURS == 0:
        return tag("g", name, tag("circle", cx=x, cy=y, r=size, class_=class_))
    corners = " ".join(
        f"{x + size * across:.1f},{y + size * down:.1f}"
        for across, down in _SHAPES[shape % COLOURS]
    )
    return tag("g", name, tag("polygon", points=corners, class_=class_))


def swatch(series: Series) -> Markup:
    """A router's line and mark, for a legend."""
    kind = f"curve {series.colour}"
    stroke = tag("line", x1=0, x2=34, y1=8, y2=8, class_=kind, stroke_dasharray=series.dash)
    return tag(
        "svg",
        stroke,
        mark(series.number, (17, 8), f"mark {series.colour}", size=5),
        class_="swatch",
        viewBox="0 0 34 16",
        width=34,
        height=16,
        aria_hidden="true",
    )


def text(x: float, y: float, content: str, class_: str, title: str = "") -> Markup:
    """Text with its baseline at y."""
    name = tag("title", title) if title else None
    return tag("text", join(name, content), x=x, y=y, class_=class_)


def _regular(
    sides: int, turn: float, reach: float = 1.2, inner: float | None = None
) -> list[Point]:
    """Corners of a regular polygon, or of a star with an inner radius."""
    number = sides if inner is None else 2 * sides
    radii = [reach if inner is None or k % 2 == 0 else inner for k in range(number)]
    angles = [2 * pi * k / number + turn for k in range(number)]
    return [(r * cos(a), r * sin(a)) for r, a in zip(radii, angles, strict=True)]


_SHAPES: tuple[list[Point], ...] = (
    [],
    [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    _regular(3, -pi / 2, 1.4),
    _regular(4, 0, 1.4),
    _regular(3, pi / 2, 1.4),
    _regular(5, -pi / 2, 1.7, 0.65),
    _regular(4, pi / 4, 1.7, 0.55),
    _regular(6, 0, 1.25),
)
STAR = 5
