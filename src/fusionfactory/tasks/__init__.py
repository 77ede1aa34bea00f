"""What is asked: the 14 tasks of FusionBench, generated ones, and your own."""

from __future__ import annotations

from fusionfactory.errors import TaskError
from fusionfactory.registry import Registry
from fusionfactory.tasks.base import THINK, Example, Task
from fusionfactory.tasks.generated import GENERATED, GeneratedTask, generate
from fusionfactory.tasks.own import OwnTask, plain_task
from fusionfactory.tasks.sampling import Draw, draw, paper_sizes, sample
from fusionfactory.tasks.sources import load_examples

__all__ = [
    "GENERATED",
    "TASKS",
    "THINK",
    "Draw",
    "Example",
    "GeneratedTask",
    "OwnTask",
    "Task",
    "draw",
    "generate",
    "load_examples",
    "make_task",
    "paper_sizes",
    "plain_task",
    "sample",
]

_PACKAGE = "fusionfactory.tasks"
TASKS = Registry(
    "task",
    {
        "gsm8k": f"{_PACKAGE}.math:GSM8K",
        "math": f"{_PACKAGE}.math:MATH",
        "mbpp": f"{_PACKAGE}.code:MBPP",
        "human_eval": f"{_PACKAGE}.code:HUMAN_EVAL",
        "commonsense_qa": f"{_PACKAGE}.commonsense:COMMONSENSE_QA",
        "openbook_qa": f"{_PACKAGE}.commonsense:OPENBOOK_QA",
        "arc_challenge": f"{_PACKAGE}.commonsense:ARC_CHALLENGE",
        "hellaswag": f"{_PACKAGE}.commonsense:HELLASWAG",
        "natural_qa": f"{_PACKAGE}.world:NATURAL_QA",
        "trivia_qa": f"{_PACKAGE}.world:TRIVIA_QA",
        "squad": f"{_PACKAGE}.reading:SQUAD",
        "boolq": f"{_PACKAGE}.reading:BOOLQ",
        "mmlu": f"{_PACKAGE}.popular:MMLU",
        "gpqa": f"{_PACKAGE}.popular:GPQA",
        "rg_chain_sum": f"{_PACKAGE}.generated:CHAIN_SUM",
        "rg_basic_arithmetic": f"{_PACKAGE}.generated:BASIC_ARITHMETIC",
        "rg_decimal_chain_sum": f"{_PACKAGE}.generated:DECIMAL_CHAIN_SUM",
        "rg_products": f"{_PACKAGE}.generated:PRODUCTS",
        "rg_simple_equations": f"{_PACKAGE}.generated:SIMPLE_EQUATIONS",
        "rg_gcd": f"{_PACKAGE}.generated:GCD",
        "rg_count_primes": f"{_PACKAGE}.generated:COUNT_PRIMES",
        "rg_gsm_symbolic": f"{_PACKAGE}.generated:GSM_SYMBOLIC",
        "rg_leg_counting": f"{_PACKAGE}.generated:LEG_COUNTING",
        "rg_letter_counting": f"{_PACKAGE}.generated:LETTER_COUNTING",
        "rg_spell_backward": f"{_PACKAGE}.generated:SPELL_BACKWARD",
        "rg_word_sorting": f"{_PACKAGE}.generated:WORD_SORTING",
        "rg_needle_haystack": f"{_PACKAGE}.generated:NEEDLE_HAYSTACK",
        "rg_family_relationships": f"{_PACKAGE}.generated:FAMILY_RELATIONSHIPS",
        "rg_calendar_arithmetic": f"{_PACKAGE}.generated:CALENDAR_ARITHMETIC",
    },
)


def make_task(name: str) -> Task:
    """The task of a name.

    Raises:
        UnknownNameError: There is none of that name.
        TaskError: A plugin registered something else under it.
    """
    task = TASKS.load(name)
    if not isinstance(task, Task):
        msg = f"task {name!r} is a {type(task).__name__}, expected a fusionfactory.tasks.Task"
        raise TaskError(msg)
    return task
