"""CHAMP's competition problems, those with a number for an answer, in the schema of MATH."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from fusionfactory.errors import TaskError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.tasks.files import Row

__all__ = ["champ_answer", "champ_rows"]

_REMARK = re.compile(
    r"\s*\((?:i\.e\.|none|no such).*\)$|,? or (?:equivalently|approximately|an) .*$"
)
_SENTENCE = re.compile(
    r"^(?:The limit exists and is equal to (?P<limit>\S+)|(?P<only>\S+) is the only possible value"
    r"|(?P<count>\d+) (?:inequalities|values|roots))$"
)
_FORMS = (
    (re.compile(r"-?\d+"), r"\g<0>"),
    (re.compile(r"(-?)(\d+)/(\d+)"), r"\1\\frac{\2}{\3}"),
    (re.compile(r"sqrt\((\d+)\)"), r"\\sqrt{\1}"),
    (re.compile(r"sqrt\((\d+)\)/(\d+)"), r"\\frac{\\sqrt{\1}}{\2}"),
    (re.compile(r"(\d+)\^(\d+)"), r"\1^{\2}"),
)


def champ_rows(name: str, data: bytes) -> Iterator[Row]:
    """Yields the problems whose answer is one number, as rows `problem, solution, type`.

    Expressions in variables, several answers, yes or no and sentences are left out: whether two of
    them are equal is not decided reliably.

    Raises:
        TaskError: The content is not as this version of the package has it.
    """
    try:
        problems = json.loads(data)["problems"].values()
        for row, problem in enumerate(problems, start=1):
            answer = champ_answer(problem["_raw_answer"])
            if answer is not None:
                yield (
                    row,
                    {
                        "id": problem["identifier"].removeprefix("P_"),
                        "problem": problem["_raw_text"].replace("@@", "$"),
                        "solution": rf"\boxed{{{answer}}}",
                        "type": problem["category"],
                    },
                )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"is no CHAMP data set ({type(error).__name__}: {error})"
        raise TaskError(msg, file=name) from None


def champ_answer(raw: str) -> str | None:
    """An answer that is a number in closed form, as LaTeX; None for any other."""
    plain = _REMARK.sub("", raw.replace("@@", "").strip())
    sentence = _SENTENCE.match(plain)
    if sentence:
        plain = next(part for part in sentence.groups() if part is not None)
    for form, latex in _FORMS:
        match = form.fullmatch(plain)
        if match:
            return match.expand(latex)
    return None
