"""Gains and remarks of a comparison on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.row_words import gain_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from fusionfactory.report.findings import Note
    from fusionfactory.report.rows import GainFacts

__all__ = ["coloured", "print_notes"]

_STYLES = {"ok": "green", "warn": "yellow", "info": ""}


def coloured(gain: GainFacts | None) -> str:
    """A gain in points, green or red where it is clear of chance."""
    words = gain_words(gain).replace("[", r"\[")
    pair = gain.interval if gain else None
    if pair is None or pair[0] <= 0 <= pair[1]:
        return words
    return f"[{'green' if pair[0] > 0 else 'red'}]{words}[/]"


def print_notes(where: Console, notes: Iterable[Note]) -> None:
    """A line per remark."""
    for note in notes:
        where.print(note.text, style=_STYLES[note.kind], markup=False, soft_wrap=True)
