"""What a comparison of rows says whatever the rows are: gains, claims, and what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fusionfactory.report.figures import MISSING, count, interval, points
from fusionfactory.report.findings import Note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.report.rows import GainFacts, RowFacts, Rows

__all__ = ["Look", "gain_words", "row_remarks"]


class Look(NamedTuple):
    """What the rows of a comparison are held against, and how they are told apart.

    Attributes:
        base: Name of the row that all are held against.
        label: What that row is called.
        colours: Kind of a row to the class that colours it; any other kind is a control.
        key: Class to what rows of that colour are.
    """

    base: str
    label: str
    colours: Mapping[str, str]
    key: Mapping[str, str]

    def colour(self, row: RowFacts) -> str:
        """The class that colours a row."""
        return self.colours.get(row.kind, "k-control")


def gain_words(gain: GainFacts | None) -> str:
    """`+4.3 [+1.0, +7.5]` in points."""
    if gain is None or gain.gain is None:
        return MISSING
    return f"{points(gain.gain)} {interval(gain.interval)}" if gain.interval else points(gain.gain)


def row_remarks(rows: Rows, cost_basis: str) -> list[Note]:
    """The claims, true or not, and what was left out.

    Args:
        rows: The comparison.
        cost_basis: Of the table.
    """
    found = [
        Note("info" if made.holds is None else "ok" if made.holds else "warn", made.words)
        for made in rows.statements
    ]
    found += [
        Note("warn", f"{rows.label(name)} is not compared: {why}.")
        for name, why in rows.arms_left_out.items()
    ]
    found += [
        Note("warn", f"The task {name} is not compared: {why}.")
        for name, why in rows.tasks_left_out.items()
    ]
    if rows.asked and rows.queries is not None and rows.queries < rows.asked:
        words = (
            f"{count(rows.queries)} of {count(rows.asked)} test queries were answered by all "
            "arms; the others count for none."
        )
        lacking = [f"{row.label} {count(row.missing)}" for row in rows.rows if row.missing]
        words += f" Without a score are of {', of '.join(lacking)}." if lacking else ""
        found.append(Note("info", words))
    if cost_basis == "nominal":
        found.append(Note("info", "Costs are nominal: list prices and guessed token counts."))
    return found
