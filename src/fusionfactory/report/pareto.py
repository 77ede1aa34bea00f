"""Cost against quality: every arm, every router's curve, the Zero line and the oracle."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.report.figures import decimal, tick, usd
from fusionfactory.report.labels import Anchor, Placed, dense, place, shorten, spread, text_width
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.plotting import STAR, Frame, Series, axes, line, mark, text
from fusionfactory.report.scales import LOG_ABOVE, TINY, Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.document import ArmFacts, Document
    from fusionfactory.report.parts import Point

__all__ = ["arm_order", "has_costs", "pareto_plots", "undominated"]

_LONGEST_NAME = 30
_MARKS = 5
_LABEL_SIZE = 11.5
_ZOOM_BELOW = 0.6


@dataclass(frozen=True)
class _Part:
    """A piece of a plot and what is to be written beside it."""

    drawing: Markup
    anchors: list[Anchor]
    lines: list[list[Point]]
    marks: list[Point]


def has_costs(document: Document) -> bool:
    """Whether there is anything to put on a cost axis."""
    return any(
        arm.cost_usd is not None and arm.quality is not None for arm in document.details.arms
    )


def arm_order(document: Document) -> list[int]:
    """Columns by falling quality: the numbers that the phone's plot and the table of arms use."""
    arms = document.details.arms
    return sorted(range(len(arms)), key=lambda i: (-(arms[i].quality or 0.0), arms[i].name))


def undominated(document: Document) -> set[int]:
    """Columns of the arms that no other arm beats in one and matches in the other."""
    known = [(i, p) for i, arm in enumerate(document.details.arms) if (p := _spot(arm))]
    return {
        i
        for i, (cost, quality) in known
        if not any(c <= cost and q >= quality and (c < cost or q > quality) for _, (c, q) in known)
    }


def pareto_plots(document: Document) -> Markup:
    """The whole picture, and a closer look at the routers' curves where they are bunched."""
    everything = _everything(document)
    whole = [
        _plot(document, frame, f"whole-{'wide' if frame.wide else 'narrow'}", named=False)
        for frame in (_frame(everything, wide=True), _frame(everything, wide=False))
    ]
    close = _window(document, everything)
    if not close:
        return join(*whole)
    frames = (_frame(close, wide=True, named=True), _frame(close, wide=False))
    closer = [
        _plot(document, frame, f"close-{'wide' if frame.wide else 'narrow'}", named=frame.wide)
        for frame in frames
    ]
    return join(*whole, tag("h3", "Closer: the routers’ curves"), *closer)


def _everything(document: Document) -> list[Point]:
    arms = [spot for arm in document.details.arms if (spot := _spot(arm))]
    curves = [p for name in document.details.curves for p in document.details.points(name)]
    return arms + curves + [p for name in document.router_names for p in _points(document, name)]


def _window(document: Document, everything: Sequence[Point]) -> list[Point]:
    """Points that the closer look must hold; empty where it would be no closer."""
    points = [p for name in document.router_names for p in document.details.points(name)]
    if len(points) < 2:
        return []
    if document.best_single_arm is not None:
        spot = _spot(document.details.arms[document.best_single_arm])
        points += [spot] if spot else []
    whole = _frame(everything, wide=True)
    pixels = [whole.at(point) for point in points]
    area = 1.0
    for axis in (0, 1):
        values = [pixel[axis] for pixel in pixels]
        area *= max(values) - min(values)
    left, top, right, bottom = whole.bounds
    return points if 0 < area < _ZOOM_BELOW * (right - left) * (bottom - top) else []


def _frame(points: Sequence[Point], *, wide: bool, named: bool = False) -> Frame:
    costs = [cost for cost, _ in points]
    positive = [cost for cost in costs if cost > TINY]
    log = bool(positive) and max(positive) > LOG_ABOVE * min(positive)
    width, height = (1080.0, 580.0) if wide else (400.0, 430.0)
    right = width - (190 if named else 16)
    x = Scale.around(costs, 52 if wide else 44, right, pad=0.05, log=log)
    y = Scale.around([quality for _, quality in points], height - 50, 30, pad=0.05)
    return Frame(x, y, width, height, wide)


def _plot(document: Document, frame: Frame, name: str, *, named: bool) -> Markup:
    left, top, right, bottom = frame.bounds
    parts = [
        _references(document, frame),
        _routers(document, frame),
        _arms(document, frame),
    ]
    anchors = [anchor for part in parts for anchor in part.anchors]
    lines = [drawn for part in parts for drawn in part.lines]
    marks = [spot for part in parts for spot in part.marks]
    size = _LABEL_SIZE if frame.wide else 10.5
    placed = place(anchors, (left + 2, top + 2, right - 2, bottom - 2), lines, marks, size)
    labels = [_label(a, p) for a, p in zip(anchors, placed, strict=True)]
    scale = "logarithmic scale" if frame.x.log else "linear scale"
    title = f"USD per 1,000 queries ({scale})"
    return tag(
        "svg",
        tag("title", "Quality against cost of every arm and router"),
        tag(
            "clipPath", tag("rect", x=left, y=top, width=right - left, height=bottom - top), id=name
        ),
        axes(frame, title, "Mean quality", lambda cost: tick(1000 * cost)),
        tag("g", *(part.drawing for part in parts), clip_path=f"url(#{name})"),
        tag("g", *labels),
        _end_names(document, frame) if named else None,
        class_=f"plot {'wide' if frame.wide else 'narrow'}",
        viewBox=f"0 0 {frame.width:g} {frame.height:g}",
        role="img",
    )


def _label(anchor: Anchor, placed: Placed) -> Markup:
    leader = None
    if placed.moved:
        x, y = placed.near
        leader = tag("line", x1=anchor.x, y1=anchor.y, x2=x, y2=y, class_="leader")
    x, y = (placed.left + placed.right) / 2, (placed.top + placed.bottom) / 2 + 4
    return join(
        leader, text(x, y, anchor.text, "label middle strong" if anchor.strong else "label middle")
    )


def _arms(document: Document, frame: Frame) -> _Part:
    best, front = document.best_single_arm, undominated(document)
    numbers = {column: rank + 1 for rank, column in enumerate(arm_order(document))}
    drawn, anchors = [], []
    for column, arm in enumerate(document.details.arms):
        spot = _spot(arm)
        if not spot or not frame.holds(spot):
            continue
        pixel = frame.at(spot)
        title = f"{arm.name}: {decimal(arm.quality)}, USD {usd(arm.cost_usd)} per 1,000"
        kind = "arm front" if column in front else "arm"
        is_best = column == best
        shape, size = (STAR, 7.0) if is_best else (0, 4.0)
        drawn.append(
            mark(shape, pixel, f"{kind} best" if is_best else kind, title=title, size=size)
        )
        name = shorten(arm.name, _LONGEST_NAME) if frame.wide else str(numbers[column])
        if is_best and frame.wide:
            name += " (best single)"
        anchors.append(Anchor(*pixel, name, size, strong=is_best))
    return _Part(join(*drawn), anchors, [], [])


def _references(document: Document, frame: Frame) -> _Part:
    """The Zero line, the oracle, the baselines that are no arm, and the best single's level."""
    drawn, anchors, lines = [], [], []
    if document.best_single_arm is not None:
        spot = _spot(document.details.arms[document.best_single_arm])
        if spot:
            x, y = frame.at(spot)
            left, top, right, bottom = frame.bounds
            drawn.append(tag("line", x1=left, x2=right, y1=y, y2=y, class_="level"))
            drawn.append(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="level"))
    for name, title, class_ in (
        ("zero", "Zero router: mixtures of arms", "zero"),
        ("oracle", "Oracle", "oracle"),
    ):
        pixels = [frame.at(point) for point in document.details.points(name)]
        drawn.append(line(pixels, class_, title=title))
        lines.append(pixels)
        left, top, right, bottom = frame.bounds
        seen = [(x, y) for x, y in dense(pixels) if left <= x <= right and top <= y <= bottom]
        if seen:
            spot = seen[len(seen) // 2] if name == "zero" else seen[-1]
            anchors.append(Anchor(*spot, title.split(":")[0], 0.0, strong=True))
    for name in ("random", "task_best"):
        points = [p for p in document.details.points(name) if frame.holds(p)]
        drawn += [
            mark(3, frame.at(point), "reference", title=f"{name}: {_words(point)}")
            for point in points
        ]
        if points:
            anchors.append(Anchor(*frame.at(points[0]), name, 4.5))
    return _Part(join(*drawn), anchors, lines, [])


def _routers(document: Document, frame: Frame) -> _Part:
    drawn, lines, marks = [], [], []
    for number, name in enumerate(document.router_names):
        series, points = Series(number), _points(document, name)
        pixels = [frame.at(point) for point in points]
        on_curve = len(document.details.points(name)) > 1
        parts: list[Markup] = []
        if on_curve:
            lines.append(pixels)
            parts.append(line(pixels, f"curve {series.colour}", title=name, dash=series.dash))
        for i in _marked(pixels) if on_curve else range(len(pixels)):
            if not frame.holds(points[i]):
                continue
            title = f"{name}: {_words(points[i])}"
            marks.append(pixels[i])
            parts.append(mark(number, pixels[i], f"mark {series.colour}", title=title))
        drawn.append(tag("g", *parts, class_="router", data_router=str(number)))
    return _Part(join(*drawn), [], lines, marks)


def _end_names(document: Document, frame: Frame) -> Markup:
    """Names of the routers' curves in the margin, joined to where the curves end."""
    ends = []
    for number, name in enumerate(document.router_names):
        inside = [point for point in _points(document, name) if frame.holds(point)]
        if inside:
            ends.append((number, name, frame.at(max(inside))))
    _, top, right, bottom = frame.bounds
    heights = spread([pixel[1] for _, _, pixel in ends], 15, top + 6, bottom - 6)
    parts = []
    for (number, name, (x, y)), height in zip(ends, heights, strict=True):
        series = Series(number)
        elbow = f"{x:.1f},{y:.1f} {right:.1f},{y:.1f} {right + 14:.1f},{height:.1f}"
        short = name
        while 1.15 * text_width(short, _LABEL_SIZE) > frame.width - right - 32:
            short = shorten(name, len(short) - 1)
        parts.append(tag("polyline", points=elbow, class_=f"lead {series.colour}"))
        parts.append(mark(number, (right + 18, height), f"mark {series.colour}"))
        parts.append(text(right + 28, height + 4, short, "label strong", title=name))
    return tag("g", *parts)


def _marked(pixels: Sequence[Point]) -> list[int]:
    """A few points along a curve, evenly by its length, to carry the router's mark."""
    lengths = [0.0]
    for (x0, y0), (x1, y1) in itertools.pairwise(pixels):
        lengths.append(lengths[-1] + abs(x1 - x0) + abs(y1 - y0))
    wanted = [lengths[-1] * k / (_MARKS - 1) for k in range(_MARKS)]
    nearest = [min(range(len(lengths)), key=lambda i: abs(lengths[i] - spot)) for spot in wanted]
    return sorted(set(nearest))


def _points(document: Document, name: str) -> list[Point]:
    """A router's curve; without one, where the scenarios' rows put it."""
    curve = document.details.points(name)
    if curve:
        return curve
    rows = [document.row(scenario, name) for scenario in document.scenarios]
    spots = [(r.cost_usd, r.quality) for r in rows if r]
    return list(dict.fromkeys((c, q) for c, q in spots if c is not None and q is not None))


def _spot(arm: ArmFacts) -> Point | None:
    if arm.cost_usd is None or arm.quality is None:
        return None
    return arm.cost_usd, arm.quality


def _words(point: Point) -> str:
    return f"{decimal(point[1])}, USD {usd(point[0])} per 1,000"
