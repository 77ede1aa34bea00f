"""The answers that can be chosen from: one row each, of a store or a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from fusionfactory.errors import DistillError
from fusionfactory.store import Store
from fusionfactory.table import QUERY_COLUMNS, OutcomeTable
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.types import Outcome, Query

__all__ = ["ANSWER_COLUMNS", "Answers"]

ANSWER_COLUMNS = {
    "query_id": pl.String,
    "arm": pl.String,
    "model": pl.String,
    "sample": pl.Int64,
    "response": pl.String,
    "quality": pl.Float64,
    "judge": pl.Float64,
    "cost_usd": pl.Float64,
    "output_tokens": pl.Float64,
    "finish_reason": pl.String,
    "error": pl.String,
}
"""What is known of an answer; what is not is null, never 0."""

_ABSENT = {"sample": pl.lit(0), "finish_reason": pl.lit(None), "error": pl.lit(None)}


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers with the questions that they answer, and others that none answers.

    Attributes:
        queries: A row per question; columns `QUERY_COLUMNS`, `query_id` unique.
        answers: A row per question, arm and sample; columns `ANSWER_COLUMNS`.
        prices: Name of each arm to USD per million output tokens; None where unknown.
    """

    queries: pl.DataFrame
    answers: pl.DataFrame
    prices: dict[str, float | None]

    @classmethod
    def of(cls, source: Answers | Store | OutcomeTable | pl.DataFrame) -> Answers:
        """The answers of a store (all samples, failed calls too), a table, or a long frame.

        Args:
            source: A frame has the columns of `layout.to_long`, perhaps with `sample`, `error` and
                `finish_reason`.

        Raises:
            DistillError: It holds no answer.
        """
        if isinstance(source, Answers):
            return source
        if isinstance(source, Store):
            found = cls._of_store(source.queries(), source.arms(), source.outcomes())
        else:
            long = source.to_long() if isinstance(source, OutcomeTable) else source
            found = cls._of_long(long)
        if not found.answers["response"].is_not_null().any():
            msg = "holds no answers, and a student is trained on the best of them"
            raise DistillError(msg, field="response")
        return found

    @classmethod
    def _of_store(
        cls, queries: Iterable[Query], arms: Sequence[Arm], outcomes: Iterable[Outcome]
    ) -> Self:
        asked = [
            (q.id, q.text, q.task, q.domain, q.target, q.metric, q.split, q.description)
            for q in queries
        ]
        models = {arm.name: arm.model for arm in arms}
        # A question that was added while the outcomes are read has none that can be used.
        known = {row[0] for row in asked}
        rows = [_row(outcome, models) for outcome in outcomes if outcome.query_id in known]
        return cls(
            pl.DataFrame(asked, schema=dict.fromkeys(QUERY_COLUMNS, pl.String), orient="row"),
            pl.DataFrame(rows, schema=ANSWER_COLUMNS, orient="row"),
            {arm.name: arm.output_price for arm in arms},
        )

    @classmethod
    def _of_long(cls, long: pl.DataFrame) -> Self:
        long = long.with_columns(
            value.alias(name) for name, value in _ABSENT.items() if name not in long.columns
        )
        # To compare, what is not a number is more than any.
        long = long.with_columns(pl.selectors.float().fill_nan(None))
        queries = long.group_by("query_id", maintain_order=True).agg(
            pl.col(name).drop_nulls().first() for name in QUERY_COLUMNS[1:]
        )
        arms = long.group_by("arm").agg(pl.col("output_price").drop_nulls().first())
        some = ("response", "error", "quality", "judge")
        answers = long.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in some))
        return cls(
            queries.select(QUERY_COLUMNS),
            answers.select(pl.col(n).cast(dtype) for n, dtype in ANSWER_COLUMNS.items()),
            dict(arms.iter_rows()),
        )


def _row(outcome: Outcome, models: dict[str, str]) -> tuple[Any, ...]:
    # Of several scores of one name, the last is the one in force.
    scores = {score.name: score.value for score in outcome.scores}
    return (
        outcome.query_id,
        outcome.arm,
        models.get(outcome.arm) or Arm.parse(outcome.arm).model,
        outcome.sample,
        outcome.response,
        scores.get("performance"),
        scores.get("llm_judge"),
        outcome.cost_usd,
        outcome.output_tokens,
        outcome.finish_reason,
        outcome.error,
    )
