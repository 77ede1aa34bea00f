"""Whether the quality that routers expect is the quality that comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import count, decimal, tick
from fusionfactory.report.markup import Markup, tag
from fusionfactory.report.plotting import Series, line, mark, text
from fusionfactory.report.scales import Scale

if TYPE_CHECKING:
    from fusionfactory.report.document import Document

__all__ = ["calibration_error", "calibration_plots"]

_SIDE = 210.0

Bin = tuple[float, float, float]


def calibration_error(document: Document, router: str) -> float | None:
    """Mean distance of expected and observed quality over the cells."""
    bins = _bins(document, router)
    cells = sum(size for _, _, size in bins)
    return sum(abs(x - y) * size for x, y, size in bins) / cells if cells else None


def calibration_plots(document: Document) -> Markup:
    """A small plot per router, all on the same axes."""
    names = [name for name in document.router_names if _bins(document, name)]
    values = [v for name in names for x, y, _ in _bins(document, name) for v in (x, y)]
    low, high = min([0.0, *values]), max([1.0, *values])
    x = Scale(low, high, 44, _SIDE - 10)
    y = Scale(low, high, _SIDE - 40, 10)
    return tag("div", *(_plot(document, name, x, y) for name in names), class_="smalls")


def _plot(document: Document, router: str, x: Scale, y: Scale) -> Markup:
    number = document.router_names.index(router)
    series, bins = Series(number), _bins(document, router)
    width, height = x.end - x.start, y.start - y.end
    parts = [tag("rect", x=x.start, y=y.end, width=width, height=height, class_="plane")]
    for value in (0.0, 0.5, 1.0):
        parts.append(tag("line", x1=x.start, x2=x.end, y1=y(value), y2=y(value), class_="grid"))
        parts.append(tag("line", x1=x(value), x2=x(value), y1=y.start, y2=y.end, class_="grid"))
        parts.append(text(x.start - 6, y(value) + 4, tick(value), "tick end"))
        parts.append(text(x(value), y.start + 15, tick(value), "tick middle"))
    corner = (max(x.low, y.low), min(x.high, y.high))
    parts.append(line([(x(v), y(v)) for v in corner], "ideal", title="expected = observed"))
    pixels = [(x(expected), y(observed)) for expected, observed, _ in bins]
    parts.append(line(pixels, f"curve {series.colour}", dash=series.dash))
    for pixel, (expected, observed, size) in zip(pixels, bins, strict=True):
        title = f"expected {decimal(expected)}, observed {decimal(observed)}, {count(size)} cells"
        parts.append(mark(number, pixel, f"mark {series.colour}", title=title, size=3.6))
    parts.append(text((x.start + x.end) / 2, _SIDE - 8, "expected", "axis middle"))
    turned = tag(
        "g",
        text(0, 0, "observed", "axis middle"),
        transform=f"translate(11 {_SIDE / 2 - 15:g}) rotate(-90)",
    )
    error = decimal(calibration_error(document, router))
    return tag(
        "figure",
        tag("figcaption", tag("b", router), f" mean gap {error}"),
        tag(
            "svg",
            tag("title", f"Expected against observed quality of {router}"),
            *parts,
            turned,
            viewBox=f"0 0 {_SIDE:g} {_SIDE:g}",
            role="img",
        ),
    )


def _bins(document: Document, router: str) -> list[Bin]:
    rows = document.details.calibration.get(router, [])
    return [
        (x, y, n) for x, y, n in rows if x is not None and y is not None and n is not None and n > 0
    ]
