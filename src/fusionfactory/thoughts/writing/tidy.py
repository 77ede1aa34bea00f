"""A model's reply as a note: without the chatter around it, on one line, a few sentences long."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CHARACTERS", "SENTENCES", "sentences", "shortened", "spoken"]

SENTENCES = 5
CHARACTERS = 700
"""A note's longest; it is cut at a sentence, or where one alone is longer, at a word."""

_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^\s*(?:```|~~~)[\w-]*\s*$")
_HEADING = re.compile(r"^\s*#{1,6}\s")
_MARKER = re.compile(r"^\s*(?:[-*+•>]|\(?\d{1,2}[.)]|step \d{1,2}\s*[.:)])\s+", re.IGNORECASE)
_EMPHASIS = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_LABEL = re.compile(
    r"^\W*(?:(?:the|a|my|short|here is (?:the|a)(?: short)?)\s+)?"
    r"(?:note|thought template|template|summary)\W{0,3}:[\s*_]*",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^\W*(?:sure|certainly|of course|okay|ok|absolutely|here(?:'s|’s| is| are))\b[^.:!?]{0,80}"
    r"(?:[:!]|\.(?=\s*$))\s*",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»"}
_END = re.compile(r"(?<=[.!?])(?:[\"'”’)\]]+)?\s+(?=[\"'“‘(\[]*[^\Wa-z])")
_SHORTENED = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Mr|Mrs|Dr|St|No)|(?:^|\s)\w)\.$")
_CLOSED = (".", "!", "?", ":", ";", ",")


def spoken(text: str, *, cut_off: bool = False) -> list[str]:
    """The sentences of the note in a reply; none where nothing of it is one.

    Left out are reasoning between `<think>` tags, headings, fences, list markers, bold marks, an
    opening such as "Sure, here is a note:", the label "Note:" and quotation marks around it all.

    Args:
        text: The reply.
        cut_off: It stopped at its longest: an unfinished last sentence is left out.
    """
    lines = []
    for line in _THINKING.sub(" ", text).splitlines():
        if _HEADING.match(line) or _FENCE.match(line):
            continue
        bare = _MARKER.sub("", _EMPHASIS.sub(r"\2", line)).strip()
        if bare:
            lines.append(bare)
    found = sentences(_bare(" ".join(_closed(lines))))
    if cut_off and len(found) > 1 and not found[-1].endswith((".", "!", "?")):
        found.pop()
    return found


def shortened(said: Sequence[str]) -> str:
    """The first sentences as a note that is not too long."""
    note = ""
    for sentence in said[:SENTENCES]:
        longer = f"{note} {sentence}".strip()
        if len(longer) > CHARACTERS:
            break
        note = longer
    if note or not said:
        return note
    return said[0][:CHARACTERS].rsplit(" ", 1)[0]


def sentences(text: str) -> list[str]:
    """The sentences of a text on one line; a shortened word such as "e.g." ends none."""
    found: list[str] = []
    for part in _END.split(text.strip()):
        if found and _SHORTENED.search(found[-1]):
            found[-1] += f" {part}"
        elif part:
            found.append(part)
    return found


def _closed(lines: list[str]) -> list[str]:
    """List items as sentences: each but the last with a mark at its end."""
    return [
        line if line.endswith(_CLOSED) or number == len(lines) else f"{line}."
        for number, line in enumerate(lines, 1)
    ]


def _bare(note: str) -> str:
    before = None
    while before != note:
        before = note
        note = _LABEL.sub("", _OPENING.sub("", note)).strip()
        if len(note) > 1 and _QUOTES.get(note[0]) == note[-1] and note[0] not in note[1:-1]:
            note = note[1:-1].strip()
    return note
