"""ShareGPT: `{conversations: [{from, value}], system}`, pairs with `chosen` and `rejected`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.distill.exporting.conversation import conversation, earlier_answers
from fusionfactory.distill.exporting.format import TrainingFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.distill.exporting.format import Row
    from fusionfactory.distill.selection import Example, Pair

__all__ = ["FORMAT", "example_rows", "pair_rows"]


def example_rows(items: Sequence[Example], format: str = "sharegpt") -> list[Row]:
    """Conversations that end with the answer to learn; `format` is named in errors."""
    return [_row(item, format, [_gpt(item.response)]) for item in items]


def pair_rows(items: Sequence[Pair], format: str = "sharegpt") -> list[Row]:
    """Conversations that end with the question, and both answers beside them."""
    return [
        {**_row(item, format, []), "chosen": _gpt(item.chosen), "rejected": _gpt(item.rejected)}
        for item in items
    ]


def _row(item: Example | Pair, format: str, answer: list[dict[str, str]]) -> Row:
    asked = conversation(item, format)
    turns = [turn for one, other in asked.history for turn in (_human(one), _gpt(other))]
    return {"conversations": [*turns, _human(asked.question), *answer], "system": asked.system}


def _human(text: str) -> dict[str, str]:
    return {"from": "human", "value": text}


def _gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


FORMAT = TrainingFormat(examples=example_rows, pairs=pair_rows, notes=earlier_answers)
