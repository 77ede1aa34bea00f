r"""The scorer of mathematical expressions: MATH's metric, by the package math-verify.

Compared is the final answer of the response (see `extract`: `\boxed{}` before all), with the
target or what its own `\boxed{}` holds. Of prose counts what stands last: a formula between `$` or
the like, or a number ("18 dollars"). `25√2/2`, `sqrt(2)`, `π` and `x²` are read as LaTeX. Equal
texts and plain numbers are decided here, the latter by the rule of `number`; all else goes to
math-verify in a process of its own that outlives the call, because its own time limit works in the
main thread only.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import sys
import time
from collections import deque
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fusionfactory.errors import MissingExtraError, UnsupportedError
from fusionfactory.scorers.base import verdict
from fusionfactory.scorers.extract import final_answer
from fusionfactory.scorers.number import numerals, same_number
from fusionfactory.scorers.reasons import EMPTY, excerpt, targets

if TYPE_CHECKING:
    from fusionfactory.scorers.number import Numeral
    from fusionfactory.types import Query, Score

__all__ = ["Math", "bare", "final_expression", "is_prose", "plain_number", "same_expression"]

_LONGEST = 1000
_PLAIN = re.compile(r"[-+\d.,/ \u2212]+|-?\\[dt]?frac\{\d+\}\{\d+\}")
_SIGNS = str.maketrans(
    {"\u2212": "-", "π": "\\pi ", "∞": "\\infty ", "×": "\\times ", "·": "\\cdot ", "°": "^\\circ ",
     "≤": "\\le ", "≥": "\\ge ", "∪": "\\cup "}
    | {sign: f"^{digit}" for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
    | {sign: f"_{digit}" for digit, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")}
)  # fmt: skip
_ROOT = re.compile(r"(?:√|(?<![\\a-z])sqrt) ?(?:\(([^()]{1,200})\)|(\d+|[a-z]))")
_DOUBLED = re.compile(
    r"\\\\(?=(?:[dt]?frac|sqrt|pi|text|left|right|cdot|times|infty|log|sin|cos)\b)"
)
_FORMULA = re.compile(r"\$([^$]+)\$|\\\(((?:[^\\]|\\[^)])+)\\\)|\\\[((?:[^\\]|\\[^\]])+)\\\]")
_FRAME = re.compile(r"\\(?:begin|end|operatorname|mathrm)\{[a-zA-Z]{1,20}\*?\}")
_WORD = re.compile(r"(?<![\\a-zA-Z\d^_])[a-zA-Z]{2,}")
_NAME = 3
_UNIT = re.compile(r"(?<=\d) ?(?:cm|mm|km|ft|kg|lbs?|oz|mph|min|hrs?|sec)\.?(?:\^?\{?[23]\}?)?$")
_ENDS = (".", "!", "$", ")", "]", "}", '"')
_NAMES = frozenset(
    ("sin", "cos", "tan", "sec", "csc", "cot", "log", "exp", "sqrt", "frac", "mod", "and")
)
_DECORATION = re.compile(r"\\(?:left|right|displaystyle|,|!|;|:|\(|\)|\[|\])|[$\s]")
_TEXT = re.compile(r"\\(?:text|mbox|textbf|mathrm)\{([^{}]*)\}")


class Math:
    """Whether the final answer is the same expression as the target.

    Args:
        limit_s: Seconds after which one comparison is given up, and the answer wrong.

    Raises:
        MissingExtraError: math-verify is not installed.
    """

    name = "math"
    version = "2"

    def __init__(self, limit_s: float = 5.0) -> None:
        if find_spec("math_verify") is None:
            raise MissingExtraError("The math scorer", "math")  # noqa: EM101
        self.limit_s = limit_s

    def score(self, query: Query, response: str) -> Score:
        """1.0 for the same expression.

        Raises:
            TaskError: The query has no target.
            UnsupportedError: The process for math-verify does not start.
        """
        gold = [final_expression(target) or target.strip() for target in targets(query)]
        if not response.strip():
            return verdict(self, 0, EMPTY)
        read = final_expression(response)
        problem = f"read {excerpt(read)}, expected {excerpt(gold[0])}"
        for target in gold:
            if bare(target) in {bare(read), bare(response)}:
                return verdict(self, 1)
            if not read or is_prose(read):
                problem = f"no expression in the answer {excerpt(final_answer(response).text)}"
                continue
            numbers = plain_number(target), plain_number(read)
            if numbers[0] and numbers[1]:
                equal: bool | None = same_number(numbers[1], numbers[0])
            else:
                equal, failure = same_expression(target, read, self.limit_s)
                problem = failure or problem
            if equal:
                return verdict(self, 1)
        return verdict(self, 0, problem)


def final_expression(text: str) -> str:
    """The expression that a text states as its answer, or the text itself where it holds none.

    Nothing is read of prose that is no marked answer and breaks off.
    """
    answer = final_answer(text)
    stated = answer.text[-_LONGEST:].strip().translate(_SIGNS)
    stated = _DOUBLED.sub(r"\\", _ROOT.sub(r"\\sqrt{\1\2}", stated)).replace("√", "\\sqrt ")
    formulas = list(_FORMULA.finditer(stated))
    if not is_prose(_FORMULA.sub(" ", stated), _NAME if not formulas else 0):
        return _UNIT.sub("", stated.rstrip(".").strip("$ "))
    if not answer.explicit and not stated.endswith(_ENDS):
        return ""
    found = numerals(stated[formulas[-1].end() :] if formulas else stated)
    if found:
        return found[-1].text
    return str(formulas[-1][formulas[-1].lastindex or 0] if formulas else stated).strip()


def is_prose(text: str, letters: int = _NAME) -> bool:
    """Whether a text has two words, or one of more letters than that, beside names of functions."""
    found = [word for word in _WORD.findall(_FRAME.sub("", text)) if word.lower() not in _NAMES]
    return len(found) > 1 or len("".join(found)) > letters


def bare(text: str) -> str:
    r"""An expression without what does not change it, such as spaces, `$` and `\left`."""
    plain = _DECORATION.sub("", _TEXT.sub(r"\1", text)).rstrip(".")
    if is_prose(text):
        return plain.casefold()
    return plain.replace("dfrac", "frac").replace("tfrac", "frac")


def plain_number(text: str) -> Numeral | None:
    """The number that an expression is, if it is nothing else."""
    plain = text.strip("$ ").rstrip(".")
    if _PLAIN.fullmatch(plain) is None:
        return None
    found = numerals(plain)
    return found[0] if len(found) == 1 else None


class _Worker:
    """A running `math_worker`."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fusionfactory.scorers.math_worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            encoding="utf-8", env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
        if self._read() != "ready\n":
            self.close()
            msg = (
                f"the process for math-verify did not start (exit code {self._process.returncode}):"
                " try `python -m fusionfactory.scorers.math_worker`"
            )
            raise UnsupportedError(msg)

    def ask(self, gold: str, read: str, limit_s: float) -> bool | None:
        """Whether the two are equal; None if the process ended over it."""
        stdin = self._process.stdin
        if stdin is None:
            return None
        job = {"gold": gold[-_LONGEST:], "read": read[-_LONGEST:], "limit_s": limit_s}
        try:
            stdin.write(json.dumps(job) + "\n")
            stdin.flush()
        except BrokenPipeError:
            return None
        line = self._read()
        return bool(json.loads(line)["equal"]) if line else None

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _read(self) -> str:
        stdout = self._process.stdout
        return stdout.readline() if stdout is not None else ""


_IDLE: deque[_Worker] = deque()
"""The workers of all scorers that no thread is using; a process that was forked off starts own."""


def same_expression(gold: str, read: str, limit_s: float) -> tuple[bool | None, str | None]:
    """Whether the two are equal, and what went wrong where there is no telling."""
    worker = _take()
    started = time.monotonic()
    equal = worker.ask(gold, read, limit_s)
    if equal is not None:
        _IDLE.append(worker)
        return equal, None
    worker.close()
    if time.monotonic() - started >= limit_s:
        return None, f"math-verify exceeded {limit_s:g} s"
    return None, f"math-verify failed on {excerpt(read)}"


def _take() -> _Worker:
    while _IDLE:
        try:
            worker = _IDLE.pop()
        except IndexError:  # another thread was faster
            break
        if worker.owner == os.getpid():
            return worker
    return _Worker()


@atexit.register
def _close_all() -> None:
    while _IDLE:
        worker = _IDLE.pop()
        if worker.owner == os.getpid():
            worker.close()
