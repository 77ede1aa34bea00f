"""Findings on a terminal: remarks and tables of words and gains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from fusionfactory.cli.gains import coloured, print_notes
from fusionfactory.report.left_out_words import left_out_findings
from fusionfactory.report.robustness_words import robustness_findings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from fusionfactory.report.document import Document
    from fusionfactory.report.told import Cell, Told

__all__ = ["print_findings"]


def print_findings(where: Console, document: Document) -> None:
    """How steady decisions are and what leaving out shows, where an evaluation holds them."""
    if document.robustness is not None:
        _print(where, robustness_findings(document.robustness))
    if document.left_out is not None:
        _print(where, left_out_findings(document.left_out))


def _print(where: Console, findings: Iterable[Told]) -> None:
    """Without what a page hides at first: it is in the report and the JSON."""
    for told in findings:
        if told.folded:
            continue
        where.print()
        if told.heading:
            where.print(told.heading, style="bold", markup=False)
        if told.text:
            where.print(told.text, markup=False, soft_wrap=True)
        print_notes(where, told.notes)
        if told.rows:
            where.print(_table(told))


def _table(told: Told) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(told.heads[0], overflow="fold")
    for heading in told.heads[1:]:
        table.add_column(heading, justify="right", overflow="fold")
    for row in told.rows:
        table.add_row(*map(_cell, row))
    return table


def _cell(cell: Cell) -> str:
    return cell.replace("[", r"\[") if isinstance(cell, str) else coloured(cell)
