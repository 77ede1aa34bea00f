"""The score in a judge's reply, read tolerantly: `0.8`, `8/10`, percent, words of the rubric.

What cannot be read for sure is None, never 0: the score stays missing and is asked for again.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from fusionfactory.judge.reading import Form, plain
from fusionfactory.judge.rubric import LEVELS

__all__ = ["Verdict", "parse_score", "snap"]

SNAP_WITHIN = 0.05
_ROUNDING = 1e-9

_NUMBER = r"[-+]?(?:\d+(?:[.,]\d+)?|[.,]\d+)"
_VALUE = re.compile(
    rf"(?P<number>{_NUMBER})(?:\s*(?P<percent>%|percent\b)"
    rf"|\s*(?:/|\bout\s+of\b|\bof\b)\s*(?P<scale>{_NUMBER}))?",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\.\d|\s*,\s*\.?\d|\s*[-–/|]\s*\.?\d|\s*\b(?:or|to|and)\s+\.?\d", re.IGNORECASE
)
"""A number that goes on like this is one of several: a range, or the scale repeated."""

_LABEL = re.compile(
    r"\b(?:score|rating|grade|mark)(?:\s*\([^()]*\))?"
    r"(?:\s*[:=]|\s+(?:is|of|would\s+be)\b|(?=\s+[.\d]))"
    r"(?:\s+an?\b)?"
    r"|\b(?:rate|score|grade|give)\s+(?:(?:the|this)\s+(?:answer|response)|it|this|that)"
    r"(?:\s+(?:as|at|with|an?))*\b",
    re.IGNORECASE,
)
_RIGHT = re.compile(r"\bright\s*:\s*(?:(true|yes)|(false|no))\b", re.IGNORECASE)
_ANSWER = re.compile(r"^(?:final\s+)?(?:answer|verdict)\s*[:=]\s*", re.IGNORECASE)
_WORDS = {
    0.0: ("wrong", "incorrect", "false", "zero"),
    0.3: ("minimal", "poor", "weak"),
    0.6: ("some", "fair", "moderate"),
    0.8: ("good",),
    1.0: ("excellent", "perfect", "outstanding"),
}
_WORD_SCORES = {word: value for value, words in _WORDS.items() for word in words}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A score that a judge gave.

    Attributes:
        value: In [0, 1]; a rubric level where the judge's number is within .05 of one.
        reason: Why, where the judge says, at most 500 characters.
    """

    value: float
    reason: str | None = None


def snap(value: float) -> float:
    """The nearest rubric level if it is within .05, else the value itself.

    A judge that writes .7 means something between two levels; rounding it would invent what it did
    not say.
    """
    nearest = min(LEVELS, key=lambda level: abs(level - value))
    return nearest if abs(nearest - value) <= SNAP_WITHIN + _ROUNDING else value


def parse_score(text: str) -> Verdict | None:
    """The score in a judge's reply; the last one where it gives several, None where it is unclear.

    A number counts as it stands in [0, 1]; above 1 only with its scale (`8/10`, `80%`). Ranges,
    repeated scales (`0, 0.3 or 0.6`) and negative numbers are unclear. Reads JSON, `<answer>`,
    `Score: 0.8`, and a reply or a last line that is the score alone.

    A verdict that calls the answer wrong is 0, as the rubric has it, whatever the score beside it;
    one that calls it right and scores it 0 is unclear.
    """
    found = _SCORE.find(text)
    if found is None:
        return None
    said = _RIGHT.findall(plain(text))
    right, wrong = said[-1] if said else ("", "")
    if right and snap(found.value) == 0:
        return None
    return Verdict(0.0 if wrong else snap(found.value), found.reason)


def _begins(text: str) -> float | None:
    """The number, or the one word of the rubric, with which a text begins."""
    text = plain(text).strip().lstrip("[(").strip()
    match = _VALUE.match(text)
    if match is None:
        word = re.match(r"([a-z]+)(?=\s*(?:$|[\n.,;:!)\]}(]))", text.lower())
        return _WORD_SCORES.get(word[0]) if word else None
    return None if _GOES_ON.match(text, match.end()) else _value(match)


def _bare(line: str) -> float | None:
    """The number or word that a line consists of, perhaps after `Answer:`."""
    text = _ANSWER.sub("", line).lstrip("[( ").rstrip("]).! ")
    if text.isalpha():
        return _WORD_SCORES.get(text.lower())
    match = _VALUE.fullmatch(text)
    return None if match is None else _value(match)


def _value(match: re.Match[str]) -> float | None:
    number = _float(match["number"])
    if match["percent"]:
        return _within(number / 100)
    if match["scale"]:
        scale = _float(match["scale"])
        mixed = 0 < number < 1 < scale  # .8 out of 10: one of the two is a slip
        return None if scale <= 0 or mixed else _within(number / scale)
    return _within(number)


def _float(text: str) -> float:
    return float(text.replace(",", "."))


def _within(value: float) -> float | None:
    return abs(value) if math.isfinite(value) and 0 <= value <= 1 else None


_SCORE = Form(
    keys=("score", "final_score", "rating", "grade", "answer", "verdict", "value"),
    label=_LABEL,
    begins=_begins,
    bare=_bare,
)
