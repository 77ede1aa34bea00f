"""Train and test questions of a task, drawn by seed so that nothing of one stands in the other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.errors import TaskError
from fusionfactory.normal_text import normal_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.tasks.base import Example, Task
    from fusionfactory.types import Query

__all__ = ["Draw", "draw", "paper_sizes", "rank", "sample"]

_TASKS = (
    "gsm8k", "math", "mbpp", "human_eval", "commonsense_qa", "openbook_qa", "arc_challenge",
    "hellaswag", "natural_qa", "trivia_qa", "squad", "boolq", "mmlu", "gpqa",
)  # fmt: skip
_PAPER_TRAIN = {"mbpp": 374, "human_eval": 114, "gpqa": 404}
_PAPER_TEST = {"gpqa": 44}
_TEST_SHARE = 0.3
"""Of the questions of a task that is not the paper's."""


@dataclass(frozen=True)
class Draw:
    """What was drawn.

    Attributes:
        queries: Those of train first; each names its split.
        dropped: Test questions left out because their text, but for case and punctuation, stands
            among the train questions.
    """

    queries: tuple[Query, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Ranked:
    group: str
    rank: str
    example: Example


def paper_sizes(task: str) -> tuple[int, int] | None:
    """FusionBench's numbers of train and (partial) test questions; None for another task."""
    return (_PAPER_TRAIN.get(task, 500), _PAPER_TEST.get(task, 50)) if task in _TASKS else None


def sample(
    task: Task,
    examples: Sequence[Example],
    *,
    test_examples: Sequence[Example] | None = None,
    train: int | None = None,
    test: int | None = None,
    seed: int = 0,
) -> list[Query]:
    """The queries of `draw`."""
    found = draw(task, examples, test_examples=test_examples, train=train, test=test, seed=seed)
    return list(found.queries)


def draw(
    task: Task,
    examples: Sequence[Example],
    *,
    test_examples: Sequence[Example] | None = None,
    train: int | None = None,
    test: int | None = None,
    seed: int = 0,
) -> Draw:
    """Draws train and test questions.

    Questions are ranked by a digest of seed and text: test takes from one end, train from the
    other. So the draw depends neither on the file's order nor on the number of questions there
    are; a larger draw holds the smaller one, and in a draw of the same sizes from more questions
    none changes sides. Texts that are equal but for case
    and punctuation rank together and stand on one side.

    Args:
        task: Whose questions they are.
        examples: The pool; of train alone where `test_examples` are given.
        test_examples: The source's own test questions. Those whose text stands anywhere in
            `examples` are left out.
        train: How many; None for the paper's number, or all there are beside the test questions.
        test: How many; None for the paper's number, at most half of a common pool, or for another
            task 30 % of it.
        seed: Of the ranking.

    Raises:
        TaskError: There are too few questions, all of test stand in train, or two share an id.
    """
    known = _by_id(task, examples)
    for id, example in _by_id(task, test_examples or ()).items():
        if known.get(id, example).text != example.text:
            _reject(task, known[id], example)
    pool = _ranked(examples, seed)
    sizes = paper_sizes(task.name)
    dropped = 0
    if test_examples is None:
        usual = min(sizes[1], len(pool) // 2) if sizes else round(_TEST_SHARE * len(pool))
        tested = _take(task, "test", pool, test, usual)
        groups = {item.group for item in tested}
        rest = [item for item in pool if item.group not in groups]
    else:
        groups = {item.group for item in pool}
        ranked = _ranked(test_examples, seed)
        held = [item for item in ranked if item.group not in groups]
        dropped = len(ranked) - len(held)
        if dropped and not held and test is None:
            msg = (
                f"task {task.name!r}: all {dropped} test questions stand in train; give one source "
                "alone, and both sides are drawn from it"
            )
            raise TaskError(msg, field="test")
        usual = min(sizes[1], len(held)) if sizes else len(held)
        tested = _take(task, "test", held, test, usual, dropped)
        rest = pool
    usual = min(sizes[0], len(rest)) if sizes else len(rest)
    trained = _take(task, "train", rest[::-1], train, usual)
    queries = [task.query(item.example, "train") for item in trained]
    queries += [task.query(item.example, "test") for item in tested]
    return Draw(tuple(queries), dropped)


def _ranked(examples: Sequence[Example], seed: int) -> list[_Ranked]:
    groups = normal_texts([example.text for example in examples])
    ranked = [
        _Ranked(group, rank(seed, group) + rank(seed, example.id), example)
        for group, example in zip(groups, examples, strict=True)
    ]
    return sorted(ranked, key=lambda item: item.rank)


def rank(seed: int, text: str) -> str:
    """Where a text stands in the order of a seed; as good as drawn, and the same everywhere."""
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()


def _take(
    task: Task, side: str, ranked: list[_Ranked], wanted: int | None, default: int, dropped: int = 0
) -> list[_Ranked]:
    size = default if wanted is None else wanted
    if not 0 <= size <= len(ranked):
        left_out = f" ({dropped} more stand in train)" if dropped else ""
        msg = (
            f"task {task.name!r} has {len(ranked)} questions for {side}{left_out}, {size} were "
            "asked for"
        )
        raise TaskError(msg, field=side)
    return ranked[:size]


def _by_id(task: Task, examples: Sequence[Example]) -> dict[str, Example]:
    found: dict[str, Example] = {}
    for example in examples:
        _reject(task, found.setdefault(example.id, example), example)
    return found


def _reject(task: Task, one: Example, other: Example) -> None:
    if one is not other:
        msg = (
            f"two questions of task {task.name!r} have the id {one.id!r}: {one.text!r:.80} and "
            f"{other.text!r:.80}"
        )
        raise TaskError(msg, field="id")
