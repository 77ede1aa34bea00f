"""Multiple choice: the same option letter."""

from __future__ import annotations

from fusionfactory.answers.base import Answer, ByKey
from fusionfactory.scorers.choice import chosen_letter, stated_letters

__all__ = ["Letters"]


class Letters(ByKey):
    """Answers that choose the same option, read as `scorers.MultipleChoice` does but for two.

    An option that is only mentioned somewhere ("the closest option is (G)") is no answer that
    could confirm another. A response that states one option and ends on another one agrees only
    with those that do so, too.
    """

    name = "multiple_choice"

    def read(self, question: str, response: str) -> Answer | None:
        """The letter chosen, upper case; None where none or several are."""
        stated = stated_letters(question, response)
        letter = chosen_letter(question, response) if stated else None
        if letter is None:
            return None
        first = next(iter(stated))
        return Answer(letter if first == letter else f"{first}, then {letter}", letter)
