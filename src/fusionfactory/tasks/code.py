"""Programming: MBPP and HumanEval. The target is a test program, run after the solution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.tasks.base import Example, Task
from fusionfactory.tasks.rows import digest, items, text, value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HUMAN_EVAL", "MBPP"]


def _mbpp(row: Mapping[str, Any], index: int) -> Example:
    question = text(row, "text", "prompt").strip()
    tests = items(row, "test_list")
    setup = text(row, "test_setup_code") if row.get("test_setup_code") else ""
    if not setup and row.get("test_imports"):
        setup = "\n".join(items(row, "test_imports"))
    shown = "\n".join(["Your code must pass these tests:", *tests])
    program = "\n".join([setup.strip(), *tests]).strip() + "\n"
    return Example(str(value(row, "task_id")), f"{question}\n{shown}", program)


def _human_eval(row: Mapping[str, Any], index: int) -> Example:
    prompt, test = text(row, "prompt"), text(row, "test")
    call = f"check({text(row, 'entry_point').strip()})"
    id = str(row.get("task_id") or digest(prompt))
    return Example(id, prompt, f"{test.strip()}\n\n{call}\n")


MBPP = Task(
    name="mbpp",
    domain="code",
    metric="code",
    description="Basic Python programming: a function from one sentence and three tests.",
    instruction="Write the Python code between [BEGIN] and [DONE].",
    parse=_mbpp,
    hub="google-research-datasets/mbpp:full",
    splits={"train": "train", "test": "test"},
)
HUMAN_EVAL = Task(
    name="human_eval",
    domain="code",
    metric="code",
    description="Python functions to complete from their signature and docstring.",
    instruction="Complete the function. Write the whole function between [BEGIN] and [DONE].",
    parse=_human_eval,
    hub="openai/openai_humaneval",
    splits={"train": "test", "test": "test"},
)
