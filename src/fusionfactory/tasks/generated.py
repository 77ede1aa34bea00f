"""Reasoning questions made on demand by reasoning-gym: easy ones, with one right answer each.

The extra `generated` brings the package. A question's id names generator, seed and position, and
the same three give the same question.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import MissingExtraError, TaskError
from fusionfactory.tasks.base import Example, Task
from fusionfactory.tasks.choices import INSTRUCTION, choice, shuffled
from fusionfactory.tasks.math import NUMBER_INSTRUCTION
from fusionfactory.tasks.rows import identity, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["GENERATED", "POOL", "GeneratedTask", "generate"]

POOL = 1000
"""How many questions stand for the whole of a generated task."""

_MAX_TRIES = 20
_FAMILY = (
    "mother", "father", "sister", "brother", "daughter", "son", "wife", "husband", "grandmother",
    "grandfather",
)  # fmt: skip
"""What reasoning-gym 0.1.25 names rightly; its nieces and in-laws are turned round."""
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OPTIONS = 4
_HOW_TO_ANSWER = re.compile(
    r"(?<=[.?]) (?:Answer|Give|Name|Provide|Reply|Respond|State|Write) .*$", re.DOTALL
)
_LETTER = re.compile(r'the letter "(.)" appear in the text: "(.*)"\?$', re.DOTALL)


@dataclass(frozen=True)
class GeneratedTask(Task):
    """A task whose questions are made on demand.

    Attributes:
        generator: Its name in reasoning-gym.
        settings: What makes the questions easy, as reasoning-gym names it.
    """

    generator: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def generate(task: Task | str, size: int, seed: int) -> list[Example]:
    """Makes questions.

    Args:
        task: A generated task or its name.
        size: How many; a larger size begins with the questions of a smaller one.
        seed: Two seeds have hardly a question in common; ids never are.

    Returns:
        Examples with differing texts.

    Raises:
        MissingExtraError: The extra `generated` is absent.
        TaskError: The task is not a generated one, or it has no more differing questions.
    """
    task = GENERATED.get(task, task) if isinstance(task, str) else task
    if not isinstance(task, GeneratedTask):
        name = task if isinstance(task, str) else task.name
        msg = f"{name!r} is no generated task; those are {', '.join(GENERATED)}"
        raise TaskError(msg)
    try:
        import reasoning_gym
    except ImportError:
        what = f"Task {task.name}"
        raise MissingExtraError(what, "generated") from None
    tries = _MAX_TRIES * size
    # Its item i of seed s is item i - 1 of seed s + 1: neighbouring seeds must be made unlike.
    start = int.from_bytes(hashlib.sha256(f"{task.name}:{seed}".encode()).digest()[:4])
    rows = reasoning_gym.create_dataset(task.generator, size=tries, seed=start, **task.settings)
    found: dict[str, Example] = {}
    for index in range(tries):
        if len(found) == size:
            break
        row = {**rows[index], "id": f"{task.generator}-{seed}-{index}"}
        example = task.parse(row, index)
        if example is not None:
            found.setdefault(example.text, example)
    if len(found) < size:
        msg = f"{task.name} has only {len(found)} differing questions with seed {seed}"
        raise TaskError(msg, field="size")
    return list(found.values())


def _plain(row: Mapping[str, Any], index: int) -> Example:
    question, answer = text(row, "question").strip(), text(row, "answer").strip()
    return Example(identity(row, "id", question), question, answer)


def _story(row: Mapping[str, Any], index: int) -> Example | None:
    """Without the word problems whose numbers make no sense, such as a negative age."""
    example = _plain(row, index)
    return None if str(example.target).startswith("-") else example


def _letters(row: Mapping[str, Any], index: int) -> Example | None:
    """Without the questions whose count depends on whether capitals count."""
    example = _plain(row, index)
    match = _LETTER.search(example.text)
    if match is None:
        return None
    counts = {match[2].count(match[1]), match[2].lower().count(match[1].lower())}
    return example if {str(count) for count in counts} == {example.target} else None


def _hidden(row: Mapping[str, Any], index: int) -> Example | None:
    """Without the questions that contain their answer, such as a palindrome to spell backward."""
    example = _plain(row, index)
    return None if str(example.target).lower() in example.text.lower() else example


def _sorted(row: Mapping[str, Any], index: int) -> Example | None:
    """Without the questions whose order depends on whether capitals come first."""
    example = _hidden(row, index)
    words = str(example.target).split(", ") if example else []
    folded = sorted(words, key=str.lower)
    return example if words in (folded, folded[::-1]) else None


def _family(row: Mapping[str, Any], index: int) -> Example | None:
    return _one_of(row, _FAMILY)


def _weekday(row: Mapping[str, Any], index: int) -> Example | None:
    return _one_of(row, _WEEKDAYS)


def _one_of(row: Mapping[str, Any], known: tuple[str, ...]) -> Example | None:
    """The question with its answer and three others of its kind as options."""
    answer = text(row, "answer").strip()
    if answer not in known:
        return None
    question = _HOW_TO_ANSWER.sub("", text(row, "question").strip())
    id = identity(row, "id", question)
    others = [name for name in shuffled(f"{id}:others", answer, known)[0] if name != answer]
    options, key = shuffled(id, answer, others[: _OPTIONS - 1])
    return choice(question, options, key, id=id)


def _task(
    generator: str,
    metric: str,
    instruction: str,
    description: str,
    parse: Callable[[Mapping[str, Any], int], Example | None] = _plain,
    **settings: Any,  # noqa: ANN401  as each generator has them
) -> GeneratedTask:
    return GeneratedTask(
        name=f"rg_{generator}",
        domain="generated",
        metric=metric,
        description=description,
        instruction=instruction,
        parse=parse,
        generator=generator,
        settings=settings,
    )


_WORDS = "Give the final answer at the end of your reply."

# fmt: off
CHAIN_SUM = _task(
    "chain_sum", "number", NUMBER_INSTRUCTION, "Sums and differences of small whole numbers.",
    min_terms=2, max_terms=3, min_digits=2, max_digits=2,
)
BASIC_ARITHMETIC = _task(
    "basic_arithmetic", "number", NUMBER_INSTRUCTION,
    "Whole number arithmetic with parentheses and signs.",
    min_terms=2, max_terms=3, min_digits=1, max_digits=2, operators=("+", "-", "*"),
)
DECIMAL_CHAIN_SUM = _task(
    "decimal_chain_sum", "number", NUMBER_INSTRUCTION,
    "Sums and differences of decimal numbers.",
    min_terms=2, max_terms=2, min_digits=1, max_digits=2, min_decimal_places=1,
    max_decimal_places=2,
)
PRODUCTS = _task(
    "products", "number", NUMBER_INSTRUCTION, "Products of two small whole numbers.",
    min_terms=2, max_terms=2, min_digits=1, max_digits=2,
)
SIMPLE_EQUATIONS = _task(
    "simple_equations", "number", NUMBER_INSTRUCTION,
    "Linear equations in one unknown with a whole number solution.",
    min_terms=2, max_terms=2, min_value=1, max_value=20,
)
GCD = _task(
    "gcd", "number", NUMBER_INSTRUCTION, "Greatest common divisors of two small numbers.",
    min_value=2, max_value=60,
)
COUNT_PRIMES = _task(
    "count_primes", "number", NUMBER_INSTRUCTION, "How many primes lie in a short range.",
    min_n=1, max_n=50,
)
GSM_SYMBOLIC = _task(
    "gsm_symbolic", "number", NUMBER_INSTRUCTION,
    "Grade school word problems made from templates with fresh names and numbers.", _story,
)
LEG_COUNTING = _task(
    "leg_counting", "number", NUMBER_INSTRUCTION,
    "How many legs a few animals have in all.",
    min_animals=2, max_animals=3, min_instances=1, max_instances=4,
)
LETTER_COUNTING = _task(
    "letter_counting", "number", NUMBER_INSTRUCTION,
    "How often a letter occurs in a few words.", _letters, min_words=4, max_words=8,
)
SPELL_BACKWARD = _task(
    "spell_backward", "contains", _WORDS, "Short words to spell backward.", _hidden,
    min_word_len=3, max_word_len=5,
)
WORD_SORTING = _task(
    "word_sorting", "contains", _WORDS, "Three or four words to sort.", _sorted,
    min_words=3, max_words=4,
)
NEEDLE_HAYSTACK = _task(
    "needle_haystack", "contains", _WORDS,
    "Who, among a dozen people's likes and dislikes, does what is asked.",
    min_num_statements=8, max_num_statements=16,
)
FAMILY_RELATIONSHIPS = _task(
    "family_relationships", "multiple_choice", INSTRUCTION,
    "How two members of a small family are related.", _family,
    min_family_size=4, max_family_size=8,
)
CALENDAR_ARITHMETIC = _task(
    "calendar_arithmetic", "multiple_choice", INSTRUCTION,
    "On which weekday a day before or after a given one falls.", _weekday,
    tasks=["weekday_offset", "weekday_of_date_from_first_date"], offset_upper_bound=30,
)
# fmt: on

GENERATED: dict[str, GeneratedTask] = {
    task.name: task
    for task in (
        CHAIN_SUM,
        BASIC_ARITHMETIC,
        DECIMAL_CHAIN_SUM,
        PRODUCTS,
        SIMPLE_EQUATIONS,
        GCD,
        COUNT_PRIMES,
        GSM_SYMBOLIC,
        LEG_COUNTING,
        LETTER_COUNTING,
        SPELL_BACKWARD,
        WORD_SORTING,
        NEEDLE_HAYSTACK,
        FAMILY_RELATIONSHIPS,
        CALENDAR_ARITHMETIC,
    )
}
"""The generated tasks by name."""
