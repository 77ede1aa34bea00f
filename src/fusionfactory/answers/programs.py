"""Code: the same behaviour on the calls that the question shows, run in the sandbox."""

from __future__ import annotations

import hashlib
import re
from doctest import DocTestParser

from fusionfactory.answers.base import Answer, ByKey
from fusionfactory.sandbox import DEFAULT_LIMITS, Limits, Sandbox, find_sandbox
from fusionfactory.scorers.code import program

__all__ = ["Programs"]

_ASSERTION = re.compile(r"^[ \t]*(assert\b.+)$", re.MULTILINE)
_DEFINED = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)
_MARK = "\x1f"
_RAISED = f"{_MARK}raised "
_PROBE = r"""
import ast as _ast
def _told(value):
    if isinstance(value, (set, frozenset)):
        return "set " + repr(sorted(map(repr, value)))
    return f"{value:.9g}" if isinstance(value, float) else repr(value)
for _text in SOURCES:
    try:
        _node = _ast.parse(_text).body[0]
        _node = _node.test if isinstance(_node, _ast.Assert) else _node.value
        _node = _node.left if isinstance(_node, _ast.Compare) else _node
        _line = _told(eval(compile(_ast.Expression(_node), "<call>", "eval")))
    except Exception as _error:
        _line = "raised " + type(_error).__name__
    print("\n\x1f" + " ".join(_line.split()), flush=True)
"""


class Programs(ByKey):
    """Programs that return the same wherever the question shows a call: `assert` or `>>>`.

    The program is what `scorers.Code` would run. Where the question shows no call, only programs
    of the same lines are the same. A program that fails on every call is no answer.

    Args:
        limits: What one program may use.
        sandbox: Where it runs; None for this machine's, which is found at the first program.
    """

    name = "code"

    def __init__(self, limits: Limits = DEFAULT_LIMITS, sandbox: Sandbox | None = None) -> None:
        self.limits, self.sandbox = limits, sandbox

    def read(self, question: str, response: str) -> Answer | None:
        """What the response's program returns; None where there is none, or it fails.

        Raises:
            SandboxError: Code cannot be isolated here; nothing was run.
        """
        calls, tests = _shown(question)
        solution = program(question, tests, response)
        if not solution.strip():
            return None
        if not calls:
            lines = [line.rstrip() for line in solution.splitlines() if line.strip()]
            return Answer(_digest(lines), solution)
        sandbox = self.sandbox or find_sandbox()
        run = sandbox.run_tests(solution, f"SOURCES = {calls!r}\n{_PROBE}", limits=self.limits)
        told = [line for line in run.output.split("\n") if line.startswith(_MARK)]
        if all(line.startswith(_RAISED) for line in told):
            return None
        return Answer(_digest(told), solution)


def _shown(question: str) -> tuple[list[str], str]:
    """The calls that a question shows, and tests from which `program` knows what is asked."""
    assertions = _ASSERTION.findall(question)
    if assertions:
        return assertions, "\n".join(assertions)
    defined = _DEFINED.findall(question)
    tests = f"check({defined[-1]})\n" if defined else ""
    try:
        examples = DocTestParser().get_examples(question)
    except ValueError:
        return [], tests
    return [example.source.strip() for example in examples if example.want], tests


def _digest(lines: list[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
