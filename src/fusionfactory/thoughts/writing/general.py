"""What of a note holds for every question of a kind: not what belongs to the one it came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fusionfactory.scorers.number import numerals
from fusionfactory.thoughts.leaks.check import leaks
from fusionfactory.thoughts.leaks.particulars import Particulars

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.types import Query

__all__ = ["general", "particulars"]

_OF_RULES = frozenset((0, 1, 2, 10, 12, 24, 60, 90, 100, 180, 360, 365, 1000))
"""Numbers that stand in rules, whatever the question holds."""

_INSTANCE = re.compile(
    r"\A\W*(?:for (?:example|instance)|in (?:this|our) (?:case|example|question)|(?:here|given)\b"
    r"|the (?:passage|text) (?:says|states|explicitly|mentions))",
    re.IGNORECASE,
)
_REFERS = re.compile(
    r"\A\W*(?:they|he|she|it|these|those|th(?:is|at)(?! (?:kind|type|sort|question|problem|task))"
    r"|therefore|thus|hence|so|then|afterwards?|similarly)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_QUOTED = re.compile(r"[\"“]([^\"“”]{8,}?)[\"”]")
_POSSESSIVE = re.compile(r"['’]s?\Z")


def general(said: Iterable[str], query: Query) -> list[str]:
    """The sentences that neither give the answer away nor belong to this question alone.

    One that refers back to a sentence that is left out is left out with it, and so is one that
    repeats another.
    """
    own = Particulars(query.text)
    kept: list[str] = []
    gap = False
    for sentence in said:
        gap = bool(
            (gap and _REFERS.search(sentence))
            or sentence in kept
            or _INSTANCE.search(sentence)
            or _particular(sentence, own)
            or leaks(sentence, query)
        )
        if not gap:
            kept.append(sentence)
    return kept


def particulars(said: Iterable[str], query: Query) -> list[str]:
    """What of the question stands in the sentences, each thing once."""
    own = Particulars(query.text)
    found = (_particular(sentence, own) for sentence in said)
    return [name for name in dict.fromkeys(found) if name]


def _particular(sentence: str, own: Particulars) -> str:
    """What stands in a sentence of the question's names, words, numbers and options; else empty."""
    for match in _WORD.finditer(sentence):
        word = _POSSESSIVE.sub("", match.group())
        if match.start() and word in own.names:
            return word
    for quoted in _QUOTED.findall(sentence):
        if quoted.casefold().strip(" .,;:!?") in own.question.casefold():
            return f'"{quoted.strip()}"'
    for numeral in numerals(sentence):
        if numeral.value in own.values and numeral.value not in _OF_RULES:
            return numeral.text
    return "the text of an option" if own.names_option(sentence) else ""
