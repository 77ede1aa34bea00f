"""Multiple choice: the same option letter."""

from __future__ import annotations

from fusionfactory.answers.base import Answer, ByKey
from fusionfactory.scorers.choice import chosen_letter

__all__ = ["Letters"]


class Letters(ByKey):
    """Answers that choose the same option, read as `scorers.MultipleChoice` does."""

    name = "multiple_choice"

    def read(self, question: str, response: str) -> Answer | None:
        """The letter chosen, upper case; None where none or several are."""
        letter = chosen_letter(question, response)
        return None if letter is None else Answer(letter, letter)
