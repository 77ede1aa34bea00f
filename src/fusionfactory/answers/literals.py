"""Exact match: the same literal where code is asked about, the same words elsewhere."""

from __future__ import annotations

import ast
import re

from fusionfactory.answers.base import Answer, ByKey
from fusionfactory.scorers.extract import final_answer
from fusionfactory.scorers.text import word_key

__all__ = ["Literals", "literal_key"]

_ABOUT_CODE = re.compile(r"```|\[PYTHON\]|^[ \t]*(?:def \w+\(|assert\b|return\b)", re.MULTILINE)
_LITERAL = re.compile(
    r"(?:[bu]?'(?:[^'\\\n]|\\.)*+'|[bu]?\"(?:[^\"\\\n]|\\.)*+\"|[\[\](){},:\s]"
    r"|[-+]?(?:0|[1-9]\d*)(?:\.\d*)?(?:e[-+]?\d+)?(?![\w.])|(?:True|False|None)\b|set\(\))+"
)
_ESCAPE = re.compile(r"\\([\\'\"abfnrtvx0-7uUN\n])?")
_LONGEST = 4000


class Literals(ByKey):
    """Answers that are the same literal, or the same words where the question shows no code.

    Read as `scorers.ExactMatch` does. Of a question about code, `'ab'` and `ab` are one answer, so
    are `[1,2]` and `[1, 2]`, but not `Ab` and `ab`, which elsewhere are the same words.
    """

    name = "exact_match"

    def read(self, question: str, response: str) -> Answer | None:
        """The final answer as a literal or as words; None where there is no text."""
        answer = final_answer(response)
        if _ABOUT_CODE.search(question):
            marked = answer.explicit or answer.text
            return Answer(literal_key(answer.text), answer.text) if marked else None
        key = word_key(answer.text)
        return Answer(key, answer.text) if key else None


def literal_key(text: str) -> str:
    """A Python literal in one spelling; a text that is none counts as a string without quotes.

    Values that Python calls equal have one key: `{1, 2}` and `{2, 1}`, `1.0` and `True`.
    """
    plain = text.strip().strip("`").strip()
    value: object = plain
    if len(plain) <= _LONGEST and _LITERAL.fullmatch(plain):
        try:
            value = ast.literal_eval(_ESCAPE.sub(_escaped, plain))
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            value = plain
    return _spelled(value)


def _escaped(match: re.Match[str]) -> str:
    """An escape that Python knows as it is; of another one, the backslash as a character."""
    return match.group() if match[1] else r"\\"


def _spelled(value: object) -> str:
    """The value's `repr`; items in order where theirs does not count, numbers as simple ones."""
    match value:
        case dict():
            items = sorted(f"{_spelled(key)}: {_spelled(item)}" for key, item in value.items())
            return f"{{{', '.join(items)}}}"
        case set():
            return f"set({', '.join(sorted(map(_spelled, value)))})"
        case list():
            return f"[{', '.join(map(_spelled, value))}]"
        case tuple():
            return f"({', '.join(map(_spelled, value))})"
        case bool() | float():
            return repr(int(value) if value == value // 1 else value)
        case _:
            return repr(value)
