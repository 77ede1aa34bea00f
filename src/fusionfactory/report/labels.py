"""Labels beside points so that none covers another, a point, or more of a curve than it must."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import cos, pi, sin
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.parts import Point
    from fusionfactory.types import FloatArray

__all__ = ["Anchor", "Placed", "dense", "place", "shorten", "spread", "text_width"]

_DISTANCES = (0.0, 6.0, 14.0, 24.0, 36.0, 50.0, 66.0, 84.0, 104.0, 126.0)
_DIRECTIONS = 16
_ROUNDS = 3
_GAP = 3.0
_MARGIN = 1.5


@dataclass(frozen=True)
class Anchor:
    """A point to be labelled: pixels, text, radius of its marker, and whether the text is bold."""

    x: float
    y: float
    text: str
    radius: float = 4.0
    strong: bool = False


@dataclass(frozen=True)
class Placed:
    """A label's box, and the nearest spot of it to its point."""

    left: float
    top: float
    right: float
    bottom: float
    near: Point
    moved: bool


def text_width(text: str, size: float) -> float:
    """A safe guess of how many pixels a text takes in any sans-serif face."""
    narrow = sum(c in "ijl.,:;'|!()[]ftI-1 " for c in text)
    wide = sum(c in "mwMWQO@%" or ord(c) > 0x2E7F for c in text)
    return size * (0.62 * len(text) - 0.2 * narrow + 0.32 * wide) + 2


def shorten(text: str, most: int) -> str:
    """The text with its middle left out, so that beginning and end still tell it apart."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 3
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def place(
    anchors: Sequence[Anchor],
    bounds: tuple[float, float, float, float],
    curves: Sequence[Sequence[Point]] = (),
    marks: Sequence[Point] = (),
    size: float = 11.0,
) -> list[Placed]:
    """A place for each label, in the order of the anchors.

    Args:
        anchors: Points with their texts.
        bounds: Left, top, right and bottom, which no label leaves.
        curves: Pixels along lines that labels had better not cover.
        marks: Pixels of other marks that labels must not cover.
        size: Of the text in pixels.
    """
    if not anchors:
        return []
    discs = [(a.x, a.y, a.radius) for a in anchors] + [(x, y, 4.0) for x, y in marks]
    points = np.array([(x - r, y - r, x + r, y + r) for x, y, r in discs])
    lines = np.array([spot for curve in curves for spot in dense(curve)]).reshape(-1, 2)
    options = [_options(anchor, size, bounds) for anchor in anchors]
    base = [
        boxes[:, 4] * 0.6
        + 60 * _overlaps(boxes, points).sum(axis=1)
        + 5 * _overlaps(_grown(boxes), points).sum(axis=1)
        + 2.5 * _overlaps(boxes, np.hstack([lines, lines])).sum(axis=1)
        for boxes in options
    ]
    chosen = [int(cost.argmin()) for cost in base]
    for _ in range(_ROUNDS):
        for i, boxes in enumerate(options):
            others = np.array([options[j][chosen[j], :4] for j in range(len(options)) if j != i])
            cost = base[i] + 200 * _overlaps(boxes, others.reshape(-1, 4)).sum(axis=1)
            chosen[i] = int(cost.argmin())
    return [_placed(anchor, options[i][chosen[i]]) for i, anchor in enumerate(anchors)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones, in their order, at least `gap` apart within the bounds."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    groups: list[tuple[float, int]] = []
    for i in order:
        centre, members = min(max(wanted[i], low), high), 1
        while groups and centre - groups[-1][0] < gap * (groups[-1][1] + members) / 2:
            before, number = groups.pop()
            members += number
            centre = (before * number + centre * (members - number)) / members
            reach = gap * (members - 1) / 2
            centre = min(max(centre, low + reach), high - reach)
        groups.append((centre, members))
    placed = [0.0] * len(wanted)
    spots = [c + gap * (k - (n - 1) / 2) for c, n in groups for k in range(n)]
    for i, spot in zip(order, spots, strict=True):
        placed[i] = spot
    return placed


def _options(anchor: Anchor, size: float, bounds: tuple[float, float, float, float]) -> FloatArray:
    """(k, 5) boxes around a point that lie within the bounds, and their distance."""
    width = text_width(anchor.text, size) / 2 * (1.12 if anchor.strong else 1) + _MARGIN
    height = size * 0.62 + _MARGIN
    boxes = []
    for distance in _DISTANCES:
        reach = anchor.radius + _GAP + distance
        for step in range(_DIRECTIONS):
            across, down = cos(2 * pi * step / _DIRECTIONS), sin(2 * pi * step / _DIRECTIONS)
            x, y = anchor.x + across * (reach + width), anchor.y + down * (reach + height)
            boxes.append((x - width, y - height, x + width, y + height, distance + 0.5 * abs(down)))
    found = np.array(boxes)
    left, top, right, bottom = bounds
    inside = (
        (found[:, 0] >= left)
        & (found[:, 1] >= top)
        & (found[:, 2] <= right)
        & (found[:, 3] <= bottom)
    )
    return found[inside] if inside.any() else found[:1]


def _overlaps(boxes: FloatArray, obstacles: FloatArray) -> FloatArray:
    """(k, o) 1 where a box and an obstacle meet."""
    a, b = boxes[:, None], obstacles[None]
    across = (a[..., 0] < b[..., 2]) & (a[..., 2] > b[..., 0])
    return np.asarray(across & (a[..., 1] < b[..., 3]) & (a[..., 3] > b[..., 1]), dtype=np.float64)


def _grown(boxes: FloatArray) -> FloatArray:
    """Boxes that reach as far to every side as their own point is away."""
    reach = boxes[:, 4:] + _GAP
    return np.hstack([boxes[:, :2] - reach, boxes[:, 2:4] + reach])


def dense(curve: Sequence[Point], step: float = 6.0) -> list[Point]:
    """Spots along a line, at most `step` pixels apart."""
    spots = list(curve[:1])
    for (x0, y0), (x1, y1) in itertools.pairwise(curve):
        pieces = min(400, int(max(abs(x1 - x0), abs(y1 - y0)) / step) + 1)
        spots += [
            (x0 + (x1 - x0) * k / pieces, y0 + (y1 - y0) * k / pieces) for k in range(1, pieces + 1)
        ]
    return spots


def _placed(anchor: Anchor, box: FloatArray) -> Placed:
    left, top, right, bottom, distance = (float(value) for value in box)
    near = (min(max(anchor.x, left), right), min(max(anchor.y, top), bottom))
    return Placed(left, top, right, bottom, near, distance > 5)
