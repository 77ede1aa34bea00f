"""What is chosen from: questions with what is known of them, and the answers of the arms named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.distill.selecting.contamination import contaminated, held_out_questions
from fusionfactory.distill.selecting.labels import label_text
from fusionfactory.distill.selection import LABEL_ARM, Message
from fusionfactory.errors import DistillError
from fusionfactory.pricing import CHARACTERS_PER_TOKEN
from fusionfactory.scorers import ALIASES, SCORERS
from fusionfactory.table import QUERY_COLUMNS
from fusionfactory.thoughts.prompter import plain_messages
from fusionfactory.thoughts.strategy import parse_strategy
from fusionfactory.types import JUDGE_ONLY, Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.distill.selecting.answers import Answers
    from fusionfactory.distill.selecting.settings import SelectSettings
    from fusionfactory.tasks import Task

__all__ = ["Pool", "as_queries", "make_pool"]

_RIGHT = 1.0
_ALL = "all"


@dataclass(frozen=True, eq=False)
class Pool:
    """Answers that could be taken, with what the steps need to know.

    Attributes:
        queries: Those of the tasks wanted, with `solved`, `wanted` (of the split), `contaminated`,
            `scorable` and `prompt_tokens`.
        frame: A row per answer: its own columns, those of its question, `no`, `tokens` and whether
            these were `counted`.
        own: The student's own answers to questions of the split; none without a student.
        prompts: Messages that the student is asked by, for each question of the split.
        overlaps: What `contamination.contaminated` found.
        held_out: Questions that were looked through for it; None where none were.
        unpriced: Arms left out because their price is not known.
    """

    queries: pl.DataFrame
    frame: pl.DataFrame
    own: pl.DataFrame
    prompts: Mapping[str, tuple[Message, ...]]
    overlaps: pl.DataFrame
    held_out: int | None
    unpriced: tuple[str, ...]


def make_pool(answers: Answers, settings: SelectSettings, tasks: Mapping[str, Task]) -> Pool:
    """Gathers what is known of the answers that the settings name.

    Raises:
        DistillError: An arm, a task or the split is not there, the split is not known, a file of
            held-out questions cannot be read, or the strategy needs more than the question.
    """
    _check(answers, settings)
    everything = answers.queries
    queries = everything
    if settings.tasks:
        queries = queries.filter(pl.col("task").is_in(settings.tasks))
    wanted = pl.lit(value=True)
    if settings.split != _ALL:
        wanted = (pl.col("split") == settings.split).fill_null(value=False)
    queries = queries.with_columns(wanted=wanted)
    train = queries.filter("wanted")
    overlaps, held_out = _overlaps(train, everything, settings)
    prompts = _prompts(train, tasks, settings.strategy)
    lengths = {
        name: sum(len(message.content) for message in prompt) / CHARACTERS_PER_TOKEN
        for name, prompt in prompts.items()
    }
    queries = (
        queries.join(_solved(answers, settings), on="query_id", how="left", maintain_order="left")
        .with_row_index("place")
        .with_columns(
            scorable=_scorable(),
            contaminated=pl.col("query_id").is_in(overlaps["train"].to_list()),
            prompt_tokens=pl.col("query_id").replace_strict(
                lengths, default=None, return_dtype=pl.Float64
            ),
        )
    )
    sources, unpriced = _sources(answers, settings)
    named = [*sources, settings.student or ""]
    given = answers.answers.filter(pl.col("arm").is_in(named))
    rows = _with_questions(given, queries).with_row_index("no")
    own = rows.filter(pl.col("wanted") & (pl.col("arm") == (settings.student or "")))
    frame = rows.filter(pl.col("arm").is_in(sources))
    if settings.criterion == LABEL_ARM:
        labels = _labels(queries.filter(pl.col("wanted") & ~pl.col("contaminated")), tasks)
        frame = _with_questions(labels, queries).with_row_index("no")
    return Pool(queries, frame, own, prompts, overlaps, held_out, unpriced)


def _with_questions(rows: pl.DataFrame, queries: pl.DataFrame) -> pl.DataFrame:
    """Answers to these questions, with what is known of them, and their lengths in tokens."""
    known = [
        "query_id", "place", "task", "domain", "metric", "scorable", "solved", "wanted",
        "contaminated", "prompt_tokens",
    ]  # fmt: skip
    guessed = pl.col("response").str.len_chars() / CHARACTERS_PER_TOKEN
    return rows.join(queries.select(known), on="query_id", maintain_order="left").with_columns(
        tokens=pl.coalesce("output_tokens", guessed),
        counted=pl.col("output_tokens").is_not_null(),
    )


def _check(answers: Answers, settings: SelectSettings) -> None:
    arms = answers.answers["arm"].unique(maintain_order=True).to_list()
    models = answers.answers["model"].unique(maintain_order=True).to_list()
    for name in settings.source_arms:
        if name not in arms and name not in models:
            msg = f"no arm or model {name!r} has answered; there are: {', '.join(arms)}"
            raise DistillError(msg, field="source_arms")
    if settings.student is not None and settings.student not in arms:
        msg = f"no arm {settings.student!r} has answered; there are: {', '.join(arms)}"
        raise DistillError(msg, field="student")
    known = answers.queries["task"].unique(maintain_order=True).to_list()
    for name in settings.tasks:
        if name not in known:
            has = ", ".join(str(task) for task in known)
            msg = f"no question of the task {name!r}; there are: {has}"
            raise DistillError(msg, field="tasks")
    if settings.split == _ALL:
        return
    splits = answers.queries["split"].drop_nulls().unique(maintain_order=True).to_list()
    if not splits:
        msg = (
            "no question names its split, so that none could be kept to test the student on: name "
            "the splits, or take the split 'all' and test on other questions"
        )
        raise DistillError(msg, field="split")
    if settings.split not in splits:
        msg = f"no question is of the split {settings.split!r}; there are: {', '.join(splits)}"
        raise DistillError(msg, field="split")


def _sources(answers: Answers, settings: SelectSettings) -> tuple[list[str], tuple[str, ...]]:
    """The arms whose answers count, and those of unknown price that a price limit leaves out."""
    pairs = answers.answers.select("arm", "model").unique(maintain_order=True).rows()
    named = settings.source_arms
    arms = [arm for arm, model in pairs if not named or arm in named or model in named]
    if settings.max_price is None:
        return arms, ()
    prices = {arm: answers.prices.get(arm) for arm in arms}
    cheap = [arm for arm, price in prices.items() if price is not None]
    cheap = [arm for arm in cheap if (prices[arm] or 0.0) <= settings.max_price]
    if not cheap:
        msg = f"no arm is known to cost {settings.max_price} USD or less per million output tokens"
        raise DistillError(msg, field="max_price")
    return cheap, tuple(arm for arm, price in prices.items() if price is None)


def _overlaps(
    train: pl.DataFrame, everything: pl.DataFrame, settings: SelectSettings
) -> tuple[pl.DataFrame, int | None]:
    looked = settings.contamination
    schema = {"train": pl.String, "held_out": pl.String, "share": pl.Float64}
    if looked is None:
        return pl.DataFrame(schema=schema), None
    other = everything.filter(pl.col("split") != settings.split)
    other = other.clear() if settings.split == _ALL else other
    texts = [pl.col("query_id"), pl.col("query"), pl.col("task").fill_null("")]
    held = pl.concat([other.select(texts), held_out_questions(looked.against)])
    if held.is_empty():
        return pl.DataFrame(schema=schema), 0
    return contaminated(train.select(texts), held, looked), held.height


def _prompts(
    train: pl.DataFrame, tasks: Mapping[str, Task], strategy: str
) -> dict[str, tuple[Message, ...]]:
    if parse_strategy(strategy).needs_bank:
        msg = (
            f"{strategy!r} shows what a bank of templates holds: a student is trained on questions "
            "alone, so use direct, think or format"
        )
        raise DistillError(msg, field="strategy")
    queries = as_queries(train)
    asked = plain_messages(queries, tasks, strategy)
    return {
        query.id: tuple(Message.model_validate(message) for message in messages)
        for query, messages in zip(queries, asked, strict=True)
    }


def as_queries(frame: pl.DataFrame) -> list[Query]:
    """The questions of rows with `QUERY_COLUMNS`."""
    return [Query(*row) for row in frame.select(QUERY_COLUMNS).iter_rows()]


def _solved(answers: Answers, settings: SelectSettings) -> pl.DataFrame:
    """Share of the arms that are right on each question; of an arm, the share of its samples."""
    right = settings.least_quality if settings.is_best else _RIGHT
    return (
        answers.answers.filter(pl.col("quality").is_not_null())
        .group_by("query_id", "arm")
        .agg(right=(pl.col("quality") >= right).mean())
        .group_by("query_id")
        .agg(solved=pl.col("right").mean())
    )


def _scorable() -> pl.Expr:
    """Whether an answer can be scored again, or only a judge ever could."""
    known = pl.col("metric").is_in([*SCORERS.names(), *ALIASES]) & pl.col("target").is_not_null()
    return (known | (pl.col("metric") == JUDGE_ONLY)).fill_null(value=False)


def _labels(queries: pl.DataFrame, tasks: Mapping[str, Task]) -> pl.DataFrame:
    """Each question's own target as the answer of one arm; null where there is none to learn."""
    asked = as_queries(queries)
    texts = [
        label_text(query, task.instruction if (task := tasks.get(query.task or "")) else "")
        for query in asked
    ]
    return pl.DataFrame(
        {
            "query_id": [query.id for query in asked],
            "arm": LABEL_ARM,
            "model": LABEL_ARM,
            "sample": 0,
            "response": pl.Series(texts, dtype=pl.String),
            "quality": 1.0,
            "judge": pl.Series([None] * len(asked), dtype=pl.Float64),
        }
    ).with_columns(
        *(pl.lit(None, pl.Float64).alias(name) for name in ("cost_usd", "output_tokens")),
        *(pl.lit(None, pl.String).alias(name) for name in ("finish_reason", "error")),
    )
