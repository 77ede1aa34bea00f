"""Which side a text takes where the answer is yes or no.

True counts as yes and false as no, "not true" and "cannot be true" as no. The word no before a
noun ("no doubt") is no answer: it counts at the start of a text or sentence, before punctuation,
and before a pronoun.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from fusionfactory.scorers.words import words

__all__ = ["Side", "opinions", "side"]

Side: TypeAlias = Literal["yes", "no"]

_SIDES: dict[str, Side] = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_OTHER: dict[Side, Side] = {"yes": "no", "no": "yes"}
_OPINION = re.compile(
    r"(?P<negation>(?:\b(?:not|never|cannot)|n['’]t|\b(?:isnt|wasnt)) "
    r"(?:be |at all |always |actually |really |necessarily |entirely |strictly |quite |a )*)?"
    r"(?<![\w'’-])(?P<word>yes|no|true|false)(?![\w'’-])"
)
_ANSWERING = re.compile(
    r"[\s*_\"'`]*(?:$|[.,;:!?)\]}\-\u2013\u2014<\\]"
    r"|(?:it|they|he|she|this|that|there|you|we|i|the|because|since|as)\b)"
)
_OPENING = re.compile(r"(?:^|[.!?:\"'*(\[{>=\n])\s*$")
_BEFORE = 3


def side(text: str) -> Side | None:
    """The side that a gold answer names; None if it is neither yes nor no."""
    found = words(text)
    return _SIDES.get(found[0]) if len(found) == 1 else None


def opinions(text: str) -> set[str]:
    """The sides that a text takes."""
    plain = text.casefold()
    found: set[str] = set()
    for match in _OPINION.finditer(plain):
        word = match["word"]
        stated = _SIDES[word]
        if word == "no" and not (
            _ANSWERING.match(plain, match.end())
            or _OPENING.search(plain[max(match.start() - _BEFORE, 0) : match.start()])
        ):
            continue
        negated = match["negation"] is not None and word in {"true", "false"}
        found.add(_OTHER[stated] if negated else stated)
    return found
