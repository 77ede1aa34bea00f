"""MATH: the same mathematical expression."""

from __future__ import annotations

import re
from importlib.util import find_spec

from fusionfactory.answers.base import Answer
from fusionfactory.answers.formula import value_key
from fusionfactory.answers.numbers import number_answer, same_numbers
from fusionfactory.scorers.extract import final_answer
from fusionfactory.scorers.math import (
    bare,
    final_expression,
    is_prose,
    plain_number,
    same_expression,
)

__all__ = ["Expressions"]

_LONGEST = 200
_LONGEST_PROSE = 80
_HUGE = re.compile(r"\^ ?\{?\d{3}|\d{30}")
"""What math-verify may work on for minutes."""
_UNREAD = "?"
"""Marks the key of what only math-verify may read."""


class Expressions:
    """Answers that are the same expression, read as `scorers.Math` does.

    Nearly all are told apart by their value (see `formula`). Where one of two is not read there,
    math-verify compares them in a process of its own, if it is installed; if not, they are the
    same where their texts are.

    Args:
        limit_s: Seconds after which one such comparison is given up, and the answers differ.
    """

    name = "math"

    def __init__(self, limit_s: float = 5.0) -> None:
        self.limit_s = limit_s
        self._hopeless: set[str] = set()
        self._can_ask = find_spec("math_verify") is not None

    def read(self, question: str, response: str) -> Answer | None:
        """The expression given as the answer; None for long prose, or where nothing is left."""
        text = final_expression(response)
        plain = bare(text).strip("\"'`_*")
        if not any(char.isalnum() for char in plain):
            return None
        if is_prose(text):
            return Answer(plain, text) if len(plain) <= _LONGEST_PROSE else None
        numeral = plain_number(text.replace("{,}", ",").strip("\"'`_* "))
        if numeral is not None:
            return number_answer(numeral)
        value = value_key(text)
        if value is not None:
            return Answer(value, text)
        # What is neither marked nor read is mostly the last line of a response that was cut off.
        told = len(text) <= _LONGEST and final_answer(response).explicit
        return Answer(_UNREAD + plain, text) if told else None

    def same(self, one: Answer, other: Answer) -> bool:
        """Whether two numbers are the same but for rounding, or math-verify finds no difference."""
        numbers = plain_number(one.text), plain_number(other.text)
        if numbers[0] and numbers[1]:
            return same_numbers(one, other)
        unread = [answer for answer in (one, other) if answer.key.startswith(_UNREAD)]
        if not unread or not self._can_ask or is_prose(one.text) or is_prose(other.text):
            return False
        if any(a.text in self._hopeless or _HUGE.search(a.text) for a in (one, other)):
            return False
        equal, _ = same_expression(one.text, other.text, self.limit_s)
        if equal is None:
            # Each failure costs a process, and what failed once fails against every other answer.
            self._hopeless |= {answer.text for answer in unread}
        return bool(equal)
