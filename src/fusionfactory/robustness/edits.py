"""Edits that leave a question what it is: case, whitespace, typos, courtesies, quoting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["EDITS", "Edit", "edited", "find_edit"]

_LETTERS = re.compile(r"[A-Za-z]{4,}")
_WORDS_PER_TYPO = 20


@dataclass(frozen=True, slots=True)
class Edit:
    """One way to write a question otherwise.

    Attributes:
        name: For reports.
        about: What it does, in a few words.
        apply: From a text and a generator to the edited text.
    """

    name: str
    about: str
    apply: Callable[[str, np.random.Generator], str]


def edited(texts: Sequence[str], edit: Edit, seed: int = 0) -> list[str]:
    """The edited texts.

    Args:
        texts: n texts.
        edit: What to do with each.
        seed: Of everything random; what happens to a text depends on its place and on this alone.

    Raises:
        InputError: `texts` is one text, not a sequence of texts.
    """
    if isinstance(texts, str):
        msg = "expected a list of texts, got one text: wrap it in a list"
        raise InputError(msg, field="texts")
    return [edit.apply(text, np.random.default_rng([seed, i])) for i, text in enumerate(texts)]


def find_edit(name: str) -> Edit:
    """The edit of that name.

    Raises:
        UnknownNameError: There is none.
    """
    for edit in EDITS:
        if edit.name == name:
            return edit
    msg = f"unknown edit {name!r}; known: {', '.join(edit.name for edit in EDITS)}"
    raise UnknownNameError(msg, field="edit")


def _spaced(text: str, rng: np.random.Generator) -> str:
    """One blank in five doubled, and blanks at both ends."""
    parts = text.split(" ")
    double = rng.random(len(parts)) < 1 / 5
    return " " + "".join(p + (" " if d else "") + " " for p, d in zip(parts, double, strict=True))


def _trimmed(text: str, _: np.random.Generator) -> str:
    """Runs of blanks as one, no blanks at line ends, at most one empty line."""
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _mistyped(text: str, rng: np.random.Generator) -> str:
    """One word in twenty, and at least one, with two letters swapped, one left out or doubled."""
    words = list(_LETTERS.finditer(text))
    if not words:
        return text
    count = max(1, len(words) // _WORDS_PER_TYPO)
    for index in sorted(rng.choice(len(words), count, replace=False), reverse=True):
        word = words[index].group()
        at = int(rng.integers(1, len(word) - 1))
        wrong = (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        )[rng.integers(3)]
        text = text[: words[index].start()] + wrong + text[words[index].end() :]
    return text


def _quoted(text: str, _: np.random.Generator) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))


EDITS: tuple[Edit, ...] = (
    Edit("lower", "all in lower case", lambda text, _: text.lower()),
    Edit("upper", "all in capitals", lambda text, _: text.upper()),
    Edit("spaced", "blanks doubled, and at both ends", _spaced),
    Edit("trimmed", "runs of blanks and empty lines shortened", _trimmed),
    Edit("typos", "a typing error in one word of twenty", _mistyped),
    Edit("greeting", "a greeting before it", lambda text, _: f"Hi, I hope you are well. {text}"),
    Edit("please", "a polite line before it", lambda text, _: f"Please help me with this:\n{text}"),
    Edit("thanks", "a thank-you after it", lambda text, _: f"{text}\n\nThank you very much!"),
    Edit("signature", "a signature after it", lambda text, _: f"{text}\n\n--\nSent from my phone"),
    Edit("quotes", "in quotation marks", lambda text, _: f'"{text}"'),
    Edit("quoted", "as a quotation, each line after >", _quoted),
)
"""What a user or a program may do to a question without asking another one."""
