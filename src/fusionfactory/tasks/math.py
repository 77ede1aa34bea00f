"""Mathematics: GSM8K and MATH."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import TaskError
from fusionfactory.tasks.base import Example, Task
from fusionfactory.tasks.rows import digest, identity, text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GSM8K", "MATH", "NUMBER_INSTRUCTION", "boxed"]

NUMBER_INSTRUCTION = 'End your answer with "#### " and the number.'
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")
_SUBJECTS = (
    "algebra+counting_and_probability+geometry+intermediate_algebra+number_theory+prealgebra"
    "+precalculus"
)


def _gsm8k(row: Mapping[str, Any], index: int) -> Example:
    question, answer = text(row, "question").strip(), text(row, "answer")
    _, mark, number = answer.rpartition("####")
    number = number.strip().replace(",", "").removeprefix("$")
    if not mark or not _NUMBER.fullmatch(number):
        msg = f"{answer[-80:]!r} does not end in `#### number`"
        raise TaskError(msg, field="answer")
    return Example(identity(row, "id", question), question, number)


def _math(row: Mapping[str, Any], index: int) -> Example:
    problem, solution = text(row, "problem").strip(), text(row, "solution")
    answer = boxed(solution)
    if answer is None:
        msg = rf"{solution[-80:]!r} holds no \boxed{{...}}"
        raise TaskError(msg, field="solution")
    return Example(str(row.get("id") or digest(problem)), problem, answer)


def boxed(solution: str) -> str | None:
    r"""The content of the last `\boxed{...}` or `\fbox{...}`; None where there is none.

    Braces inside are balanced; an escaped brace counts as text. `\boxed 5` is read too.
    """
    starts = list(re.finditer(r"\\(?:boxed|fbox)\s*(\{|\S)", solution))
    if not starts:
        return None
    last = starts[-1]
    if last[1] != "{":
        return re.split(r"[\s$]", solution[last.start(1) :], maxsplit=1)[0].rstrip(".,") or None
    depth = 0
    for brace in re.finditer(r"\\.|[{}]", solution[last.start(1) :], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            inside = solution[last.end(1) : last.start(1) + brace.start()].strip()
            return inside or None
    return None


GSM8K = Task(
    name="gsm8k",
    domain="math",
    metric="number",
    description=(
        "Grade school mathematics: word problems that take two to eight steps of arithmetic and "
        "end in one number."
    ),
    instruction=NUMBER_INSTRUCTION,
    parse=_gsm8k,
    hub="openai/gsm8k:main",
    splits={"train": "train", "test": "test"},
)
MATH = Task(
    name="math",
    domain="math",
    metric="math",
    description=(
        "Competition mathematics from algebra to number theory, with answers in closed form."
    ),
    instruction=r"Put the final answer in \boxed{}.",
    parse=_math,
    hub=f"EleutherAI/hendrycks_math:{_SUBJECTS}",
    splits={"train": "train", "test": "test"},
)
