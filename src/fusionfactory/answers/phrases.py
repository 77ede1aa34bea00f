"""Short answers in words: the same side where it is yes or no, the same words elsewhere."""

from __future__ import annotations

from fusionfactory.answers.base import Answer, ByKey
from fusionfactory.scorers.extract import final_answer, spoken
from fusionfactory.scorers.polarity import opinions
from fusionfactory.scorers.text import word_key

__all__ = ["Phrases"]

_LONGEST = 12
_OPENING = 3


class Phrases(ByKey):
    """Answers of the same words, for metrics that look for a gold answer's words in a response.

    Compared is the marked final answer, or the whole response where that has twelve words at most;
    longer ones say more than an answer and agree with nobody. An answer that takes one side, yes or
    no, is that side.
    """

    name = "contains"

    def read(self, question: str, response: str) -> Answer | None:
        """The answer in words; None where none of bearable length is marked."""
        answer = final_answer(response)
        text = answer.text if answer.explicit else spoken(response).strip()
        sides = opinions(text)
        if len(sides) == 1 and _opens(text):
            return Answer(next(iter(sides)), text)
        key = word_key(text)
        return Answer(key, text) if key and key.count(" ") < _LONGEST else None


def _opens(text: str) -> bool:
    """Whether the opinion stands in the first words of a text."""
    return bool(opinions(" ".join(text.split()[:_OPENING])))
