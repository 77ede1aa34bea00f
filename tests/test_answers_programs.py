"""Programs in groups: by what they return for the calls that the question shows."""

from __future__ import annotations

import pytest

from fusionfactory.answers import equivalent, key
from fusionfactory.errors import SandboxError
from fusionfactory.sandbox import find_sandbox

MBPP = "Double a number.\nIt must pass:\nassert double(2) == 4\nassert double(0) == 0"
HUMAN = 'def double(n):\n    """Twice n.\n\n    >>> double(2)\n    4\n    """\n'
LOOP = "[BEGIN]\ndef double(n):\n    print(n)\n    return n + n\n[DONE]"
TIMES = "```python\ndef double(n):\n    return 2 * n\n```"
SQUARE = "```python\ndef double(n):\n    return n ** 3\n```"
BROKEN = "```python\ndef double(n):\n    return nn\n```"


@pytest.fixture(autouse=True)
def _isolated() -> None:
    try:
        find_sandbox()
    except SandboxError as error:
        pytest.skip(f"code cannot be isolated here: {error}")


@pytest.mark.parametrize("question", [MBPP, HUMAN])
def test_programs_of_one_behaviour_are_one_answer(question: str) -> None:
    assert equivalent("code", LOOP, TIMES, question=question)
    assert not equivalent("code", SQUARE, TIMES, question=question)


def test_a_program_that_fails_on_every_call_is_no_answer() -> None:
    assert key("code", BROKEN, question=MBPP) is None
    assert key("code", "```python\ndef double(n: return\n```", question=MBPP) is None
    assert key("code", "", question=MBPP) is None


def test_without_a_shown_call_the_lines_count() -> None:
    spaced = TIMES.replace("return", "\n    return")
    assert equivalent("code", TIMES, spaced, question="Double a number.")
    assert not equivalent("code", TIMES, LOOP, question="Double a number.")


def test_sets_and_floats_are_compared_as_values() -> None:
    question = "assert f() == {'a', 'b', 'c'}\nassert g() == 0.3"
    one, other = (
        f"```python\ndef f():\n    return {{{items}}}\ndef g():\n    return {value}\n```"
        for items, value in (("'a', 'b', 'c'", "0.3"), ("'c', 'a', 'b'", "0.1 + 0.2"))
    )
    assert equivalent("code", one, other, question=question)
