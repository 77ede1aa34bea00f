"""Scorers that compare words: exact match, containment (FusionBench's `cem`) and token F1."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from fusionfactory.scorers.base import verdict
from fusionfactory.scorers.extract import FinalAnswer, final_answer, spoken
from fusionfactory.scorers.polarity import opinions, side
from fusionfactory.scorers.reasons import EMPTY, excerpt, targets
from fusionfactory.scorers.words import ARTICLES, squash, words

if TYPE_CHECKING:
    from fusionfactory.types import Query, Score

__all__ = ["Contains", "ExactMatch", "TokenF1", "word_key"]

_NAME_LENGTH = 4
_POSSESSIVE = re.compile(r"(?<=\w)['’]s\b")


class ExactMatch:
    """Whether the response, or its final answer, is a gold answer.

    Compared as `words`, without a leading article; texts without any word (`"<="`) are compared
    as they are, but for case and white space.
    """

    name = "exact_match"
    version = "1"

    def score(self, query: Query, response: str) -> Score:
        """1.0 for a match with any gold answer.

        Raises:
            TaskError: The query has no target.
        """
        gold = targets(query)
        if not response.strip():
            return verdict(self, 0, EMPTY)
        answer = final_answer(response).text
        keys = {word_key(target) for target in gold}
        if not keys.isdisjoint((word_key(answer), word_key(spoken(response)), word_key(response))):
            return verdict(self, 1)
        return verdict(self, 0, _mismatch(answer, gold))


class Contains:
    """Whether a gold answer stands in the response, on word boundaries; a possessive `'s` is one.

    A leading article of the gold answer may be missing, unless what remains is one word of fewer
    than four letters ("the US"). Where the gold answers are yes or no (true or false), the
    response has to take that side and no other: see `fusionfactory.scorers.polarity`.
    """

    name = "contains"
    version = "2"

    def score(self, query: Query, response: str) -> Score:
        """1.0 if any gold answer is contained.

        Raises:
            TaskError: The query has no target.
        """
        gold = targets(query)
        if not response.strip():
            return verdict(self, 0, EMPTY)
        sides = [side(target) for target in gold]
        if all(sides):
            found = _stated(response)
            if len(found) == 1 and found <= set(sides):
                return verdict(self, 1)
            if len(found) > 1:
                return verdict(self, 0, "states both yes and no")
            read = next(iter(found), "neither yes nor no")
            return verdict(self, 0, f"read {read}, expected {sides[0]}")
        text = spoken(response)
        forms = (words(text), words(_POSSESSIVE.sub("", text)))
        plain = " | ".join(f" {' '.join(form)} " for form in forms)
        whole = squash(response)
        if any(_contained(target, plain, whole) for target in gold):
            return verdict(self, 1)
        return verdict(self, 0, f"{excerpt(gold[0])} is not in the response")


class TokenF1:
    """SQuAD's F1 of the words of response and gold answer, at best over the gold answers.

    The words are those of the marked final answer, or of the whole response without one.
    Articles do not count.
    """

    name = "token_f1"
    version = "1"

    def score(self, query: Query, response: str) -> Score:
        """The highest F1, in [0, 1].

        Raises:
            TaskError: The query has no target.
        """
        gold = targets(query)
        if not response.strip():
            return verdict(self, 0, EMPTY)
        answer = final_answer(response)
        read = answer.text if answer.explicit else spoken(response)
        if word_key(response) in {word_key(target) for target in gold}:
            return verdict(self, 1)
        value = max(_f1(read, target) for target in gold)
        if value == 1:
            return verdict(self, 1)
        return verdict(self, value, _mismatch(read, gold))


def _mismatch(read: str, gold: list[str]) -> str:
    return f"read {excerpt(read)}, expected {excerpt(gold[0])}"


def word_key(text: str) -> str:
    """What must be equal in an exact match: the words without a leading article."""
    found = words(text)
    if not found:
        return squash(text)
    return " ".join(found[1:] if len(found) > 1 and found[0] in ARTICLES else found)


def _contained(target: str, plain: str, whole: str) -> bool:
    """Whether a gold answer stands in `plain`, padded words, or if it has none in `whole`."""
    found = words(target)
    if not found:
        return squash(target) in whole
    if f" {' '.join(found)} " in plain:
        return True
    rest = found[1:] if found[0] in ARTICLES else []
    named = len(rest) > 1 or any(len(word) >= _NAME_LENGTH for word in rest)
    return named and f" {' '.join(rest)} " in plain


def _stated(response: str) -> set[str]:
    """The sides that the marked final answer takes, or the whole response."""
    answer: FinalAnswer = final_answer(response)
    if answer.explicit:
        marked = opinions(answer.text)
        if marked:
            return marked
    return opinions(spoken(response))


def _f1(read: str, target: str) -> float:
    one, other = _counted(read), _counted(target)
    shared = (one & other).total()
    if not shared:
        return 0.0
    precision, recall = shared / one.total(), shared / other.total()
    return 2 * precision * recall / (precision + recall)


def _counted(text: str) -> Counter[str]:
    """The words that count; the articles too where there are no others."""
    found = words(text)
    return Counter([word for word in found if word not in ARTICLES] or found or [squash(text)])
