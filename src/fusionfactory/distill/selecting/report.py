"""The account of a selection: what was taken from whom, what was turned away and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from fusionfactory.distill.selecting.sieve import REASONS, SPLIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.distill.selecting.pool import Pool
    from fusionfactory.distill.selecting.settings import SelectSettings

__all__ = ["lengths", "selection_report"]

_SHOWN_OVERLAPS = 20
_DIGITS = 4


def selection_report(
    pool: Pool,
    frame: pl.DataFrame,
    settings: SelectSettings,
    limits: Mapping[str | None, float],
) -> dict[str, Any]:
    """JSON values that say how the examples were chosen.

    Args:
        pool: What was chosen from.
        frame: Every answer with its `reason`; null for what was taken.
        settings: By which.
        limits: Tokens of the longest answer that the student is taught, per task.
    """
    taken = frame.filter(pl.col("reason").is_null())
    answers = frame.filter(pl.col("reason").is_null() | (pl.col("reason") != SPLIT))
    asked = pool.queries.filter("wanted")
    covered = asked["query_id"].is_in(taken["query_id"].unique().to_list())
    return {
        "examples": taken.height,
        "questions": {
            "asked": asked.height,
            "covered": int(covered.sum()),
            "uncovered": int((~covered).sum()),
        },
        "arms": _by_arm(answers, taken),
        "tasks": _by_task(asked.with_columns(covered=covered), frame, taken),
        "lengths": lengths(taken["tokens"]),
        "tokens": {
            "answers": _rounded(taken["tokens"].sum()),
            "prompts": _rounded(taken["prompt_tokens"].sum()),
            "counted": _rounded(taken["counted"].mean()) if taken.height else None,
        },
        "rejected": _reasons(frame),
        "contamination": _contamination(pool, settings),
        "student": None
        if settings.student is None
        else {
            "arm": settings.student,
            "longest": {task or "": _rounded(tokens) for task, tokens in sorted(
                limits.items(), key=lambda item: item[0] or "")},
        },
        "unpriced": list(pool.unpriced),
        "pairs": None,
    }  # fmt: skip


def lengths(tokens: pl.Series) -> dict[str, float | None]:
    """Minimum, median, mean, 95th percentile and maximum of token counts; None of none."""
    return {
        "min": _rounded(tokens.min()),
        "median": _rounded(tokens.median()),
        "mean": _rounded(tokens.mean()),
        "p95": _rounded(tokens.quantile(0.95, "nearest")),
        "max": _rounded(tokens.max()),
    }


def _by_arm(answers: pl.DataFrame, taken: pl.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for arm in answers["arm"].unique(maintain_order=True).sort():
        mine = taken.filter(pl.col("arm") == arm)
        given = answers.filter(pl.col("arm") == arm)
        rows.append(
            {
                "arm": arm,
                "answers": given.height,
                "taken": mine.height,
                "share": _rounded(mine.height / taken.height) if taken.height else None,
                "lengths": lengths(mine["tokens"]),
                "rejected": _reasons(given),
            }
        )
    return rows


def _by_task(asked: pl.DataFrame, frame: pl.DataFrame, taken: pl.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for task in asked["task"].unique(maintain_order=True):
        here = pl.col("task").eq_missing(pl.lit(task))
        questions, mine = asked.filter(here), taken.filter(here)
        rows.append(
            {
                "task": task,
                "questions": questions.height,
                "covered": int(questions["covered"].sum()),
                "taken": mine.height,
                "tokens": _rounded(mine["tokens"].sum()),
                "lengths": lengths(mine["tokens"]),
                "rejected": _reasons(frame.filter(here)),
            }
        )
    return rows


def _reasons(frame: pl.DataFrame) -> dict[str, int]:
    counts = dict(frame["reason"].drop_nulls().value_counts().iter_rows())
    return {reason: counts[reason] for reason in REASONS if reason in counts}


def _contamination(pool: Pool, settings: SelectSettings) -> dict[str, Any] | None:
    if settings.contamination is None:
        return None
    return {
        "held_out": pool.held_out,
        "split": settings.split,
        "ngram": settings.contamination.ngram,
        "share": settings.contamination.share,
        "against": list(settings.contamination.against),
        "questions": pool.overlaps.height,
        "shown": [
            {"train": train, "held_out": held_out, "share": _rounded(share)}
            for train, held_out, share in pool.overlaps.head(_SHOWN_OVERLAPS).iter_rows()
        ],
    }


def _rounded(value: Any) -> float | None:  # noqa: ANN401  what an aggregation gives
    return None if value is None else round(float(value), _DIGITS)
