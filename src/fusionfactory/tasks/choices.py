"""Multiple choice: options as lettered lines, the key as a letter."""

from __future__ import annotations

import hashlib
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import TaskError
from fusionfactory.tasks.base import Example
from fusionfactory.tasks.rows import digest, items, value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["INSTRUCTION", "choice", "labelled", "shuffled"]

INSTRUCTION = "Choose the right option. End your answer with its letter in parentheses."


def choice(
    question: str,
    options: Sequence[str],
    key: int,
    *,
    id: str | None = None,
    domain: str | None = None,
) -> Example:
    """An example with its options as lines `(A) ...`.

    Args:
        question: What is asked.
        options: The answers to choose from.
        key: Position of the right one, from 0.
        id: The source's id; None for a digest of question and options.
        domain: Where it differs from the task's.

    Raises:
        TaskError: There are under two options or over 26, or the key is none of them.
    """
    options = [option.strip() for option in options]
    question = question.strip()
    if not 2 <= len(options) <= len(ascii_uppercase):
        msg = f"{len(options)} options, expected 2 to {len(ascii_uppercase)}"
        raise TaskError(msg, field="choices")
    if not 0 <= key < len(options):
        msg = f"the key is option {key + 1}, but there are {len(options)}"
        raise TaskError(msg, field="answer")
    lines = [f"({ascii_uppercase[i]}) {option}" for i, option in enumerate(options)]
    return Example(
        digest(question, *options) if id is None else id,
        "\n".join([question, *lines]),
        ascii_uppercase[key],
        domain,
    )


def labelled(row: Mapping[str, Any], question: str, name: str = "id") -> Example:
    """An example of the schema `choices {label, text}, answerKey`; labels may be 1 to 4.

    Raises:
        TaskError: A field is absent or the key is none of the labels.
    """
    choices = value(row, "choices")
    if not isinstance(choices, dict):
        msg = f"{choices!r:.200} is no pair of lists `label` and `text`"
        raise TaskError(msg, field="choices")
    labels, options = items(choices, "label"), items(choices, "text")
    key = str(value(row, "answerKey")).strip()
    if len(labels) != len(options) or key not in labels:
        msg = f"{key!r} is none of the labels {', '.join(labels)} of {len(options)} options"
        raise TaskError(msg, field="answerKey")
    own = row.get(name)
    id = str(own) if own else None
    return choice(question, options, labels.index(key), id=id)


def shuffled(seed: str, right: str, wrong: Sequence[str]) -> tuple[list[str], int]:
    """The options in an order drawn from the seed and the texts, and where the right one stands.

    The order depends neither on the position of the row nor on the order of the wrong options.
    """
    drawn = sorted(
        [right, *wrong], key=lambda option: hashlib.sha256(f"{seed}\x1f{option}".encode()).digest()
    )
    return drawn, drawn.index(right)
