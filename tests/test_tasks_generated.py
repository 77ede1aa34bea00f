"""Generated questions: reproducible, distinct, and rightly answered by our own reckoning."""

from __future__ import annotations

import ast
import math
import re
import subprocess
import sys
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from fusionfactory.errors import MissingExtraError, TaskError
from fusionfactory.scorers import make_scorer
from fusionfactory.tasks import GENERATED, Example, generate, load_examples, make_task, sample

if TYPE_CHECKING:
    from collections.abc import Callable

needs_extra = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import reasoning_gym"], check=False).returncode != 0,
    reason="needs the extra `generated`",
)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def _value(text: str) -> Fraction:
    """The value of the arithmetic in a text."""
    (found,) = re.findall(r"(?:problem:|multiplication:|Calculate) (.+?)(?: =$|\.(?: |$))", text)
    return _evaluated(ast.parse(found, mode="eval").body)


def _evaluated(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp):
        value = _evaluated(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    assert isinstance(node, ast.BinOp)
    left, right = _evaluated(node.left), _evaluated(node.right)
    return {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right}[type(node.op)]


def _solves(text: str, solution: int) -> bool:
    left, right = re.sub(r"^.*?: ", "", text).split(" = ")
    total = 0
    for sign, term in re.findall(r"(^|[+-] ?)([^+-]+)", left.replace(" ", "")):
        factors = [int(f) if f.isdigit() else solution for f in term.split("*")]
        total += -math.prod(factors) if "-" in sign else math.prod(factors)
    return total == int(right)


def _primes(low: int, high: int) -> int:
    return sum(n > 1 and all(n % d for d in range(2, n)) for n in range(low, high + 1))


def _letters(text: str) -> int:
    match = re.search(r'the letter "(.)" appear in the text: "(.*)"', text)
    assert match is not None
    return match[2].count(match[1])


def _sorted(text: str) -> str:
    words = text.rpartition(": ")[2].split(", ")
    return ", ".join(sorted(words, key=str.lower, reverse="in descending order" in text))


def _who(text: str) -> str:
    story, _, asked = text.rpartition("\n")
    likes = asked.removeprefix("Who ").partition("?")[0]
    (name,) = re.findall(rf"(?:^|\. )(\S+) {re.escape(likes)}\.", story)
    return str(name)


def _chosen(example: Example) -> str:
    (option,) = re.findall(rf"^\({example.target}\) (.*)$", example.text, re.MULTILINE)
    return str(option)


def _weekday(text: str) -> str:
    question = text.partition("\n(")[0]
    start = next(i for i, day in enumerate(WEEKDAYS) if day in question)
    if "2022" not in question:
        days = int(re.findall(r"January (\d+)\b(?!st)", question)[-1]) - 1
    else:
        days = int(re.findall(r"(\d+)(?: days|-day)", question)[0])
        days *= -1 if re.search(r"ago|before|backward", question) else 1
    return WEEKDAYS[(start + days) % 7]


def _relation(text: str) -> str:
    """How the first named person is related to the second, without their sex."""
    story, asked = text.partition("\n(")[0].split("\n\n")
    parents: dict[str, set[str]] = {}
    couple: set[str] = set()
    spouses: list[set[str]] = []
    for sentence in story.rstrip(".").split(". "):
        if " is married to " in sentence:
            couple = set(sentence.split(" is married to "))
            spouses.append(couple)
        else:
            for child in re.split(r", | and ", sentence.rpartition(" called ")[2]):
                parents[child] = couple
    pattern = r"(?:is|relation is) (\w+) (?:related to|to) (\w+)\?"
    ((one, other),) = re.findall(pattern, asked)
    grand = {name for parent in parents.get(other, set()) for name in parents.get(parent, set())}
    kinds = {
        "parent": one in parents.get(other, set()),
        "child": other in parents.get(one, set()),
        "spouse": {one, other} in spouses,
        "grandparent": one in grand,
        "sibling": one in parents and parents[one] == parents.get(other),
    }
    (kind,) = [name for name, holds in kinds.items() if holds]
    return kind


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
KINDS = {
    "mother": "parent", "father": "parent", "son": "child", "daughter": "child",
    "husband": "spouse", "wife": "spouse", "sister": "sibling", "brother": "sibling",
    "grandmother": "grandparent", "grandfather": "grandparent",
}  # fmt: skip
ARITHMETIC = ("rg_chain_sum", "rg_basic_arithmetic", "rg_decimal_chain_sum", "rg_products")
CHECKS: dict[str, Callable[[Example], bool]] = {
    **dict.fromkeys(ARITHMETIC, lambda e: _value(e.text) == Fraction(str(e.target))),
    "rg_simple_equations": lambda e: _solves(e.text, int(str(e.target))),
    "rg_gcd": lambda e: str(math.gcd(*_numbers(e.text))) == e.target,
    "rg_count_primes": lambda e: str(_primes(*_numbers(e.text))) == e.target,
    "rg_letter_counting": lambda e: str(_letters(e.text)) == e.target,
    "rg_spell_backward": lambda e: e.text.rpartition(": ")[2][::-1] == e.target,
    "rg_word_sorting": lambda e: _sorted(e.text) == e.target,
    "rg_needle_haystack": lambda e: _who(e.text) == e.target,
    "rg_family_relationships": lambda e: _relation(e.text) == KINDS[_chosen(e)],
    "rg_calendar_arithmetic": lambda e: _weekday(e.text) == _chosen(e),
}


@needs_extra
@pytest.mark.parametrize("name", CHECKS)
def test_the_answers_are_right(name: str) -> None:
    for example in generate(name, 40, 1):
        assert CHECKS[name](example), example


@needs_extra
@pytest.mark.parametrize("name", GENERATED)
def test_questions_are_distinct_and_their_targets_score(name: str) -> None:
    task = make_task(name)
    examples = generate(task, 40, 3)
    assert len(examples) == len({e.text for e in examples}) == len({e.id for e in examples}) == 40
    scorer = make_scorer(task.metric)
    for example in examples:
        assert example.target
        answer = f"({example.target})" if task.metric == "multiple_choice" else example.target
        assert scorer.score(task.query(example), answer).value == 1, example


@needs_extra
def test_a_seed_gives_the_same_questions_in_any_process() -> None:
    code = (
        "from fusionfactory.tasks import GENERATED, generate\n"
        "import hashlib\n"
        "made = [generate(name, 5, 7) for name in GENERATED]\n"
        "print(hashlib.sha256(repr(made).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1


@needs_extra
def test_no_word_problem_has_a_negative_answer() -> None:
    examples = generate("rg_gsm_symbolic", 400, 2)
    assert not [example for example in examples if str(example.target).startswith("-")]
    assert "gsm_symbolic-2-30" not in {example.id for example in examples}


@needs_extra
def test_a_larger_size_begins_with_the_smaller_one() -> None:
    large = generate("rg_gcd", 60, 0)
    assert generate("rg_gcd", 20, 0) == large[:20]
    assert large[0].id == "gcd-0-0"


@needs_extra
def test_neighbouring_seeds_have_little_in_common() -> None:
    one, two = (generate("rg_gsm_symbolic", 50, seed) for seed in (0, 1))
    assert not {e.id for e in one} & {e.id for e in two}
    assert len({e.text for e in one} & {e.text for e in two}) < 3


@needs_extra
@pytest.mark.parametrize("name", ["rg_family_relationships", "rg_calendar_arithmetic"])
def test_options_replace_how_to_answer(name: str) -> None:
    for example in generate(name, 60, 0):
        question, *options = example.text.split("\n(")
        assert len(options) == 4
        assert question.rstrip().endswith(("?", "."))
        for word in ("Answer", "Provide", "Respond", "Reply", "weekday name", "single word"):
            assert word not in question
        assert "in-law" not in example.text


@needs_extra
def test_the_right_letter_is_balanced() -> None:
    keys = [example.target for example in generate("rg_calendar_arithmetic", 200, 0)]
    assert all(30 <= keys.count(letter) <= 70 for letter in "ABCD")


@needs_extra
def test_a_generated_task_is_drawn_like_any_other() -> None:
    task = make_task("rg_count_primes")
    queries = sample(task, load_examples(task, "package"), train=30, test=20)
    assert len(queries) == 50
    assert queries[0].id.startswith("rg_count_primes:count_primes-0-")


@needs_extra
def test_a_generator_that_runs_dry() -> None:
    with pytest.raises(TaskError, match=r"field 'size': rg_gcd has only \d+ differing questions"):
        generate("rg_gcd", 4000, 0)


def test_only_generated_tasks_are_generated() -> None:
    with pytest.raises(TaskError, match="'gsm8k' is no generated task; those are rg_chain_sum"):
        generate(make_task("gsm8k"), 1, 0)


def test_generation_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtraError, match=r"Task rg_gcd needs an extra: .*\[generated\]"):
        generate("rg_gcd", 1, 0)


@pytest.mark.parametrize("name", GENERATED)
def test_rows_saved_by_reasoning_gym_are_read_too(name: str) -> None:
    task = make_task(name)
    row = {"question": "What is it?", "answer": "x", "metadata": {}}
    example = task.parse(row, 0)
    if name in {"rg_family_relationships", "rg_calendar_arithmetic", "rg_letter_counting"}:
        assert example is None
    else:
        assert example is not None
        assert (example.text, example.target) == ("What is it?", "x")
