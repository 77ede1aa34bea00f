"""Texts without what only dresses them, and the parts that a text may have been added to."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["plain", "shortened"]

_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_QUOTED = re.compile(r"^[>\s]+")
_MARKS = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb "
_CUT = re.compile(r"\n|(?<=[.!?:])\s")
_MOST_CUTS = 4


def plain(text: str) -> str:
    """The text without what does not change a question.

    Letters are in their compatibility form and without case; blanks, empty lines, marks of
    quotation around the whole or before lines, and characters that nobody sees are gone. A text
    that consists of nothing else is returned as it is.
    """
    folded = _UNSEEN.sub("", unicodedata.normalize("NFKC", text).casefold())
    lines = [" ".join(_QUOTED.sub("", line).split()) for line in folded.split("\n")]
    return "\n".join(line for line in lines if line).strip(_MARKS) or text


def shortened(text: str, words: int) -> list[str]:
    """The text without its first or its last lines or sentences, of so many words at most.

    Args:
        text: A plain text.
        words: That may be left out at one end.

    Returns:
        At most eight distinct texts, none of them empty.
    """
    cuts = [(found.start(), found.end()) for found in _CUT.finditer(text)]
    found: dict[str, None] = {}
    for _, end in cuts[:_MOST_CUTS]:
        if len(text[:end].split()) <= words:
            found[text[end:]] = None
    for start, _ in cuts[-_MOST_CUTS:]:
        if len(text[start:].split()) <= words:
            found[text[:start]] = None
    return [part for part in found if part.strip()]
