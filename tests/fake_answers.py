"""A few answers to a few questions, for what students are trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from fusionfactory.distill.selecting.answers import ANSWER_COLUMNS, Answers
from fusionfactory.table import QUERY_COLUMNS
from fusionfactory.tasks import make_task
from fusionfactory.types import Arm, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TASKS", "answers", "arms", "question"]

TASKS = {name: make_task(name) for name in ("boolq", "commonsense_qa", "gsm8k", "mbpp")}


def question(name: str, text: str | None = None, **known: str | None) -> Query:
    """A gsm8k question whose answer is 4, unless said otherwise."""
    fields = {"task": "gsm8k", "domain": "math", "target": "4", "metric": "number"}
    return Query(
        name, text or f"What is {name} and {name}?", **{**fields, "split": "train", **known}
    )


def answers(
    queries: Sequence[Query],
    rows: Sequence[dict[str, Any]],
    prices: dict[str, float | None] | None = None,
) -> Answers:
    """Answers of arms; what a row does not say is null."""
    asked = [
        (q.id, q.text, q.task, q.domain, q.target, q.metric, q.split, q.description)
        for q in queries
    ]
    full = [
        {**dict.fromkeys(ANSWER_COLUMNS), "model": Arm.parse(row["arm"]).model, "sample": 0} | row
        for row in rows
    ]
    return Answers(
        pl.DataFrame(asked, schema=dict.fromkeys(QUERY_COLUMNS, pl.String), orient="row"),
        pl.DataFrame(full, schema=ANSWER_COLUMNS),
        prices or {},
    )


def arms(query_id: str, **given: tuple[float | None, ...]) -> list[Any]:
    """A row for each arm of (quality, judge, cost), with a text of its own."""
    return [
        {
            "query_id": query_id, "arm": arm, "quality": quality, "judge": judge, "cost_usd": cost,
            "response": f"{arm} says that {arm} and {arm} make {'4' if quality == 1 else '5'}",
        }
        for arm, (quality, judge, cost) in given.items()
    ]  # fmt: skip
