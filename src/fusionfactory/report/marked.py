"""Pieces of Markdown: escaped text, tables and remarks."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.report.findings import Note

__all__ = ["SIGNS", "Raw", "escaped", "notes_list", "table"]

_SPECIAL = re.compile(r"([\\`*\[\]|~#!])|(?<![^\W_])(_)|(_)(?![^\W_])")

SIGNS = {"ok": "✓", "info": "Note:", "warn": "**Warning:**"}
"""Before remarks, by their kind."""


class Raw(str):
    """A cell that is Markdown already."""

    __slots__ = ()


def notes_list(remarks: Iterable[Note]) -> str:
    """A line per remark, each with its sign."""
    return "\n".join(f"- {SIGNS[note.kind]} {escaped(note.text)}" for note in remarks)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, its first column to the left, the others to the right."""
    rule = [":---", *("---:" for _ in head[1:])]
    lines = [[escaped(cell) for cell in head], rule]
    lines += [[cell if isinstance(cell, Raw) else escaped(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped(text: str) -> str:
    """The text on one line, with nothing that Markdown or HTML would read."""
    flat = escape(" ".join(text.split()), quote=False)
    return _SPECIAL.sub(lambda match: "\\" + match.group(), flat)
