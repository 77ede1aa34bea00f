"""Programming: the response's program, run in the sandbox before the target's tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fusionfactory.errors import TaskError
from fusionfactory.sandbox import DEFAULT_LIMITS, find_sandbox
from fusionfactory.scorers.base import verdict

if TYPE_CHECKING:
    from fusionfactory.sandbox import Limits, Sandbox
    from fusionfactory.types import Query, Score

__all__ = ["Code", "program"]

_MARKED = re.compile(r"\[BEGIN\][ \t]*(.*?)(?:\[DONE\]|\Z)", re.DOTALL)
_FENCED = re.compile(
    r"^([ \t]*)```[ \t]*[\w+.-]*[ \t]*\n(.*?)(^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE
)
_EXAMPLE = re.compile(r"^(?:print\(|assert\b|if __name__\b).*(?:\n(?:[ \t].*)?)*\Z", re.MULTILINE)
_CALLED = re.compile(r"\b([A-Za-z_]\w*)[ \t]*\(")
_CHECKED = re.compile(r"^check\((\w+)\)\s*\Z", re.MULTILINE)
_ASSIGNED = r"\w+[ \t]*(?::[^=\n]+)?=(?!=)"
_DEFINED = re.compile(
    rf"^(?:(?:async[ \t]+def|def|class)[ \t]+(\w+)|(?={_ASSIGNED})(\w+))", re.MULTILINE
)
_CODE_LINE = re.compile(
    r"^(?:from[ \t]+\S+[ \t]+import\b|import[ \t]+\w|def[ \t]|class[ \t]|@\w|async[ \t]|"
    rf"{_ASSIGNED})",
    re.MULTILINE,
)
_PROSE_LINE = re.compile(r"^(?:[A-Z][\w']*,?[ \t]+[a-z]|[-*][ \t]|\d+\.[ \t]|##)", re.MULTILINE)
_FUTURE = re.compile(r"^from[ \t]+__future__[ \t]+import[ \t].*\n?", re.MULTILINE)


class Code:
    """pass@1: whether the response's program passes the target's tests, isolated by the kernel.

    Args:
        limits: What one program may use.
        sandbox: Where it runs; None for this machine's, which is found at the first score.
    """

    name = "code"
    version = "1"

    def __init__(self, limits: Limits = DEFAULT_LIMITS, sandbox: Sandbox | None = None) -> None:
        self.limits, self.sandbox = limits, sandbox

    def score(self, query: Query, response: str) -> Score:
        """1 if every test ran and none failed, else 0 with the reason. Many threads may call it.

        Raises:
            TaskError: The query has no tests.
            SandboxError: Code cannot be isolated here; nothing was run, and nothing is scored.
        """
        tests = query.target
        if tests is None or not tests.strip():
            msg = f"{query.id} has no tests, expected a Python program as its target"
            raise TaskError(msg, field="target")
        sandbox = self.sandbox or find_sandbox()
        solution = program(query.text, tests, response)
        if not solution.strip():
            return verdict(self, 0, "the response holds no code")
        run = sandbox.run_tests(solution, tests, limits=self.limits)
        if run.verdict == "passed":
            return verdict(self, 1)
        return verdict(self, 0, f"{run.verdict}: {run.reason}")


def program(question: str, tests: str, response: str) -> str:
    """The program that a response means, ready to run before its tests.

    Args:
        question: The query's text; of a function to complete it holds signature and docstring.
        tests: The target; one that ends in `check(name)` asks to complete the function `name`.
        response: What the model wrote: between `[BEGIN]` and `[DONE]`, in a fenced block, or bare;
            the whole function, or what follows its docstring.

    Returns:
        Python, which is not parsed here: it may be wrong in any way. Empty if there is none.
    """
    asked = _CHECKED.search(tests)
    wanted = {asked[1]} if asked else set(_CALLED.findall(tests))
    code = _extracted(response, wanted)
    if not code.strip() or asked is None:
        return code
    start = _completed(question, asked[1])
    if start is None:
        return code
    before, function = start
    if asked[1] not in _names(code):
        return before + function + _as_body(code, function)
    # Imports and helpers of the question count, unless the response brings its own.
    return "".join(_FUTURE.findall(code)) + before + _FUTURE.sub("", code)


def _extracted(response: str, wanted: set[str]) -> str:
    text = response.rpartition("</think>")[2].replace("\r\n", "\n")
    marked = _MARKED.findall(text)
    if marked:
        text = next((content for content in reversed(marked) if content.strip()), "")
    elif "[DONE]" in text:
        text = text.partition("[DONE]")[0]
    blocks = [
        # A fence inside a list stands to the right, with all that it holds.
        re.sub(rf"^[ \t]{{0,{len(margin)}}}", "", whole, flags=re.MULTILINE)
        for margin, content, closing in _FENCED.findall(text)
        # Where an answer was cut off in an example behind its function, the function is there.
        if (whole := content if closing else _EXAMPLE.sub("", content)).strip()
    ]
    if blocks:
        return _chosen(blocks, wanted)
    return text.strip("\n") if marked else _bare(text, wanted)


def _chosen(blocks: list[str], wanted: set[str]) -> str:
    """The last block that defines what the tests call, after blocks whose functions it uses."""
    defined = [_names(block) for block in blocks]
    last = max((n for n, names in enumerate(defined) if names & wanted), default=len(blocks) - 1)
    used = set(re.findall(r"\w+", blocks[last])) - defined[last]
    needed = [n for n in range(last) if defined[n] & used and not defined[n] & defined[last]]
    return "\n".join(blocks[n] for n in [*needed, last])


def _bare(text: str, wanted: set[str]) -> str:
    """A response without marks: the prose around its functions is left out."""
    starts = [match.start() for match in _DEFINED.finditer(text) if set(match.groups()) & wanted]
    first = _CODE_LINE.search(text)
    if not starts or first is None:
        return text.strip("\n")
    prose = _PROSE_LINE.search(text, starts[-1])
    return text[first.start() : prose.start() if prose else len(text)]


def _names(code: str) -> set[str]:
    """What the code defines at its margin: functions, classes and variables."""
    return {name for names in _DEFINED.findall(code) for name in names if name}


def _completed(question: str, name: str) -> tuple[str, str] | None:
    """What stands before the function in the question, and its signature with docstring."""
    signatures = list(re.finditer(rf"^(?:async[ \t]+)?def[ \t]+{name}\b", question, re.MULTILINE))
    first = _CODE_LINE.search(question)
    if not signatures or first is None:
        return None
    place = signatures[-1].start()
    function = question[place:]
    docstring = re.search(r"(\"\"\"|''').*?\1[^\n]*", function, re.DOTALL)
    if docstring:
        function = function[: docstring.end()]
    return question[first.start() : place], function.rstrip() + "\n"


def _as_body(code: str, function: str) -> str:
    """A function's body as written, or moved to the right where its indentation was stripped.

    A stripped response lost the indentation of its first line alone; a body that was written from
    the margin lacks it in every line. Everything else stands as it is.
    """
    lines = [line for line in code.split("\n") if line.strip()]
    first = lines[0]
    if first[0] in " \t":
        return code
    last = function.rstrip("\n").rpartition("\n")[2]
    indent = last[: len(last) - len(last.lstrip())] or "    "
    second = lines[1] if len(lines) > 1 else ""
    depth = len(second) - len(second.lstrip())
    from_margin = any(line[0] not in " \t" for line in lines[1:])
    opens = first.partition("#")[0].rstrip().endswith(":")
    if not from_margin and depth >= len(indent) + opens:
        return indent + code.lstrip("\n")
    return re.sub(r"^(?=.*\S)", indent, code, flags=re.MULTILINE)
