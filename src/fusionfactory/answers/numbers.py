"""Numbers: the same value, or one a repeating decimal of the other, rounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.answers.base import Answer
from fusionfactory.scorers.number import final_number, numerals, same_number

if TYPE_CHECKING:
    from fusionfactory.scorers.number import Numeral

__all__ = ["Numbers", "number_answer", "same_numbers"]


class Numbers:
    """Answers that are the same number by the rule of `scorers.number`."""

    name = "number"

    def read(self, question: str, response: str) -> Answer | None:
        """The number given as the answer; its key is the exact fraction."""
        found = final_number(response)
        return None if found is None else number_answer(found)

    def same(self, one: Answer, other: Answer) -> bool:
        """Whether two numbers are the same but for rounding."""
        return same_numbers(one, other)


def number_answer(numeral: Numeral) -> Answer:
    """A number as an answer: the exact fraction, and how it was written."""
    return Answer(str(numeral.value), numeral.text)


def same_numbers(one: Answer, other: Answer) -> bool:
    """Whether two numbers are the same but for rounding, whichever of them is the exact one."""
    first, second = numerals(one.text)[-1], numerals(other.text)[-1]
    return same_number(first, second) or same_number(second, first)
