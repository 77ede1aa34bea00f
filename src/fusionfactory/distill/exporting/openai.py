"""OpenAI's fine-tuning: `{messages}`, pairs `{input, preferred_output, non_preferred_output}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.distill.exporting.conversation import has_history, messages
from fusionfactory.distill.exporting.format import DPO, SFT, TrainingFormat, data_file
from fusionfactory.distill.exporting.sides import TRAIN
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.distill.exporting.format import Job, Row
    from fusionfactory.distill.selection import Example, Pair

__all__ = ["FORMAT", "MIN_ROWS"]

MIN_ROWS = 10
"""Fewer rows are refused by OpenAI."""


def _examples(items: Sequence[Example]) -> list[Row]:
    weighted = has_history(items)
    return [
        {"messages": _weighted(rows) if weighted else rows}
        for rows in ([*_asked(item), *_answer(item.response)] for item in items)
    ]


def _weighted(rows: list[Row]) -> list[Row]:
    """Only the last answer is learnt; in every row, so that all have the same fields."""
    last = len(rows) - 1
    return [
        {**row, "weight": int(position == last)} if row["role"] == "assistant" else row
        for position, row in enumerate(rows)
    ]


def _pairs(items: Sequence[Pair]) -> list[Row]:
    return [
        {
            "input": {"messages": _asked(item)},
            "preferred_output": _answer(item.chosen),
            "non_preferred_output": _answer(item.rejected),
        }
        for item in items
    ]


def _asked(item: Example | Pair) -> list[Row]:
    said: list[Row] = [*messages(item)]
    for row in said:
        if not row["content"]:
            msg = (
                f"the prompt of query {item.query_id!r} has an empty message of {row['role']!r}, "
                "which OpenAI refuses: leave the query out"
            )
            raise DistillError(msg, field="prompt")
    return said


def _answer(text: str) -> list[Row]:
    return [{"role": "assistant", "content": text}]


def _notes(job: Job) -> list[str]:
    return [
        f"{name} has {len(rows)} rows: OpenAI takes no file of fewer than {MIN_ROWS}"
        for name, rows in job.rows.items()
        if name in (data_file(SFT, TRAIN), data_file(DPO, TRAIN)) and len(rows) < MIN_ROWS
    ]


FORMAT = TrainingFormat(examples=_examples, pairs=_pairs, notes=_notes)
