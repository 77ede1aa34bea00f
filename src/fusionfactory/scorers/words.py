"""Text as words: the normalisation that the text scorers share.

Unicode NFKC, case folded, accents of the Latin, Greek and Cyrillic scripts folded (`Beyoncé` is
`beyonce`), apostrophes and the dots of `U.S.` dropped, other punctuation and markdown a gap,
Chinese, Japanese and Thai characters one word each. A number is one word with its sign and
decimals: `1,000` is `1000`, `18.00` is `18`, but `3.5` stays apart from `35` and `-5` from `5`.
`%` is the word `percent`; `C++` and `C#` keep their signs.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["ARTICLES", "squash", "words"]

ARTICLES = frozenset({"a", "an", "the"})

_ACCENTS = re.compile("[\u0300-\u036f]+")
_MINUS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2212", "-") | {"%": " percent "})
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ](?=\w)")
_INITIALS = re.compile(r"\b(?:[^\W\d_]\.)+[^\W\d_]\b\.?")
_WORD = re.compile(
    r"(?:(?<![\w.)\]])-)?\d[\d,]*(?:\.\d+)*[^\W_\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]*"
    r"|[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]"
    r"|[^\W_\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]+(?:\+\+|\#(?!\#))?"
)
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DECIMAL = re.compile(r"-?\d+\.\d+")


def squash(text: str) -> str:
    """The text with case, width forms, accents and runs of white space levelled."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = unicodedata.normalize("NFKC", _ACCENTS.sub("", folded))
    return " ".join(plain.casefold().split())


def words(text: str) -> list[str]:
    """The normalised words of a text, in order; empty for punctuation alone."""
    plain = _APOSTROPHES.sub("", squash(text).translate(_MINUS))
    plain = _INITIALS.sub(lambda match: match.group().replace(".", "") + " ", plain)
    found: list[str] = []
    for word in _WORD.findall(plain):
        if "," in word:
            found += [_level(word.replace(",", ""))] if _GROUPED.fullmatch(word) else [
                _level(part) for part in word.split(",") if part
            ]  # fmt: skip
        else:
            found.append(_level(word))
    return found


def _level(word: str) -> str:
    """A decimal without its closing zeros, any other word as it is."""
    return word.rstrip("0").rstrip(".") if _DECIMAL.fullmatch(word) else word
