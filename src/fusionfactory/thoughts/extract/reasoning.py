"""The reasoning in a response: what comes before its answer, without the form around it."""

from __future__ import annotations

import re

from fusionfactory.scorers.extract import spoken

__all__ = ["code_of", "reasoning"]

_LONGEST = 3000
"""Characters of a response that are read; what comes later is seldom method."""
_ENOUGH = 40

_JSON = re.compile(r"[\"']?(?:reasoning|thought|explanation|rationale)s?[\"']?\s*:\s*\"", re.I)
_JSON_END = re.compile(r"\"\s*,?\s*[\"'](?:final[_ ])?answer[\"']\s*:|\"\s*\}|\Z", re.I)
_ESCAPE = re.compile(r"\\(n(?![a-z]{2})|t(?![a-z]{2})|[\"\\/])")
_ANSWER = re.compile(
    r"(?:\b(?:so|thus|hence|therefore|final)\b,?\s*)?(?:\bthe\s+)?(?:\b(?:final|correct|right|best)"
    r"\s+)?\banswer\b[*_]*\s*(?:is\b|:)|####\s*\S|<answer>|\[BEGIN\]",
    re.IGNORECASE,
)
_FENCED = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)|\[BEGIN\](.*?)(?:\[DONE\]|\Z)", re.DOTALL)


def reasoning(response: str) -> str:
    """What a response says before it states its answer; what follows the answer if that is first.

    Of an answer in JSON, the text of its field `reasoning`. Code blocks are left out.
    """
    text = _unwrapped(spoken(response)[:_LONGEST])
    text = _FENCED.sub("\n", text)
    for mark in _ANSWER.finditer(text):
        if mark.start() >= _ENOUGH:
            return text[: mark.start()]
    first = _ANSWER.search(text)
    return (
        f"{text[: first.start()]}\n{text[first.end() :].partition(chr(10))[2]}" if first else text
    )


def code_of(response: str) -> str:
    """The first program in a response, or all of it where none is marked."""
    match = _FENCED.search(response[:_LONGEST])
    return next((part for part in match.groups() if part), "") if match else response[:_LONGEST]


def _unwrapped(text: str) -> str:
    field = _JSON.search(text)
    if field is None:
        return text
    before = text[: field.start()].partition("```")[0].rstrip("{ \n")
    end = _JSON_END.search(text, field.end())
    inside = text[field.end() : end.start() if end else len(text)]
    inside = _ESCAPE.sub(lambda m: {"n": "\n", "t": " "}.get(m[1], m[1]), inside)
    return before if len(before) > len(inside) else inside
