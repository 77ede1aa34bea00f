"""Alpaca: `{instruction, input, output, system, history}`, pairs with `chosen` and `rejected`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.distill.exporting.conversation import conversation, earlier_answers
from fusionfactory.distill.exporting.format import TrainingFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.distill.exporting.format import Row
    from fusionfactory.distill.selection import Example, Pair

__all__ = ["FORMAT"]


def _examples(items: Sequence[Example]) -> list[Row]:
    return _history_first([{**_asked(item), "output": item.response} for item in items])


def _pairs(items: Sequence[Pair]) -> list[Row]:
    rows = [{**_asked(item), "chosen": item.chosen, "rejected": item.rejected} for item in items]
    return _history_first(rows)


def _asked(item: Example | Pair) -> Row:
    asked = conversation(item, "alpaca")
    return {
        "instruction": asked.question,
        "input": "",
        "system": asked.system,
        "history": [list(turn) for turn in asked.history],
    }


def _history_first(rows: list[Row]) -> list[Row]:
    """Rows with a history before the others.

    `datasets` takes the type of a column from the first 10 MB. Were all histories there empty, it
    would take the column for one of nothing, and fail at the first text.
    """
    return sorted(rows, key=lambda row: not row["history"])


FORMAT = TrainingFormat(examples=_examples, pairs=_pairs, notes=earlier_answers)
