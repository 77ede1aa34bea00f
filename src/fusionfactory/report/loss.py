"""The loss of every student while it was trained, and on what was held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import decimal, significant, tick
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.plotting import Frame, Series, axes, line, mark, swatch
from fusionfactory.report.scales import Scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.report.distill_document import MadeFacts
    from fusionfactory.report.parts import Point

__all__ = ["loss_plot"]


def loss_plot(students: Mapping[str, MadeFacts]) -> Markup | None:
    """Training loss as lines, held-out loss as marks; None where no student tells either.

    Args:
        students: What a student is called, to how it was made.
    """
    shown = {name: made for name, made in students.items() if made.curve or made.held_out}
    if not shown:
        return None
    points = [point for made in shown.values() for point in (*made.curve, *made.held_out)]
    key = (tag("li", swatch(Series(number)), name) for number, name in enumerate(shown))
    frames = (_frame(points, wide=True), _frame(points, wide=False))
    return join(*(_plot(shown, frame) for frame in frames), tag("ul", *key, class_="key"))


def _frame(points: Sequence[Point], *, wide: bool) -> Frame:
    width, height = (1080.0, 380.0) if wide else (400.0, 340.0)
    x = Scale.around([0.0, *(step for step, _ in points)], 52 if wide else 44, width - 16, pad=0.02)
    y = Scale.around([loss for _, loss in points], height - 50, 30, pad=0.06)
    return Frame(x, y, width, height, wide)


def _plot(students: Mapping[str, MadeFacts], frame: Frame) -> Markup:
    return tag(
        "svg",
        tag("title", "Loss by step of every student"),
        axes(frame, "Steps", "Loss per token", tick),
        *(
            _student(Series(number), name, made, frame)
            for number, (name, made) in enumerate(students.items())
        ),
        class_=f"plot {'wide' if frame.wide else 'narrow'}",
        viewBox=f"0 0 {frame.width:g} {frame.height:g}",
        role="img",
    )


def _student(series: Series, name: str, made: MadeFacts, frame: Frame) -> Markup:
    curve = line(
        [frame.at(point) for point in made.curve],
        f"curve {series.colour}",
        title=f"{name}, training",
        dash=series.dash,
    )
    marks = (
        mark(series.number, frame.at(point), f"mark {series.colour}",
             title=f"{name}, held out, step {significant(point[0])}: {decimal(point[1])}")
        for point in made.held_out
    )  # fmt: skip
    return tag("g", curve, *marks)
