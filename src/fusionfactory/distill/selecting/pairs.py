"""Preference pairs: two answers to one question of which one is clearly better.

The better one is that of the highest rank by the criterion; the worse one, where a student is
named, its own answer if it can be, for what it would say itself teaches it most; else that of the
widest gap. What is still equal is ordered by a digest, never by length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from fusionfactory.distill.selecting.picking import digests
from fusionfactory.distill.selecting.report import lengths
from fusionfactory.distill.selecting.settings import PairSettings
from fusionfactory.distill.selecting.sieve import complete
from fusionfactory.distill.selection import Pair

if TYPE_CHECKING:
    from fusionfactory.distill.selecting.pool import Pool
    from fusionfactory.distill.selecting.settings import SelectSettings
    from fusionfactory.distill.selecting.verify import Verifier

__all__ = ["best_pairs", "make_pairs"]

_SIDE = ("no", "place", "arm", "model", "text", "quality", "judge", "tokens")


def make_pairs(
    chosen: pl.DataFrame, pool: Pool, settings: SelectSettings, verifier: Verifier | None
) -> tuple[list[Pair], dict[str, Any]]:
    """The pairs of the questions that examples are taken of, and the account of them.

    Args:
        chosen: Answers that may be the better one, as `picking.ranked` orders them.
        pool: Where the worse ones come from: its answers, and those of the student.
        settings: What makes a pair, who the student is, and the seed.
        verifier: Scores both answers again; None trusts the store.
    """
    rejected = complete(pl.concat([pool.frame, pool.own]).unique("no", maintain_order=True))
    both = pl.concat([chosen.select(rejected.columns), rejected]).unique("no")
    pairs = best_pairs(chosen, rejected, settings)
    while verifier is not None and not verifier.verify(_members(both, pairs)):
        trusted = ~pl.col("no").is_in(verifier.refuted)
        pairs = best_pairs(chosen.filter(trusted), rejected.filter(trusted), settings)
    told = _told(both, pairs)
    return [_pair(row, pool) for row in told.iter_rows(named=True)], _account(told, settings)


def best_pairs(
    chosen: pl.DataFrame, rejected: pl.DataFrame, settings: SelectSettings
) -> pl.DataFrame:
    """The pairs of each question, the best first.

    Args:
        chosen: Answers that may be the better one, as `picking.ranked` orders them.
        rejected: Answers that may be the worse one.
        settings: What makes a pair, who the student is, what is right, and the seed.

    Returns:
        Columns `no` and `no_rejected`, `place` of the question, `by` and `gap`.
    """
    by = settings.pairs or PairSettings()
    better = _side(chosen).with_row_index("rank")
    worse = _side(rejected).with_columns(tie=digests(rejected, settings.seed))
    pairs = better.join(worse, on="place", suffix="_rejected", maintain_order="left")
    pairs = pairs.filter(pl.col("text") != pl.col("text_rejected"))
    if by.same_source:
        pairs = pairs.filter(pl.col("model") == pl.col("model_rejected"))
    if by.length_ratio is not None:
        longer = pl.max_horizontal("tokens", "tokens_rejected")
        shorter = pl.min_horizontal("tokens", "tokens_rejected")
        pairs = pairs.filter(longer <= by.length_ratio * shorter)
    other = pl.col("arm_rejected") != (settings.student or "")
    pairs = _told_apart(pairs, settings, by).with_columns(other=other)
    pairs = pairs.sort(
        ["place", "rank", "other", "gap", "tie"], descending=[False, False, False, True, False]
    )
    return _apart(pairs, by.per_query)


def _side(answers: pl.DataFrame) -> pl.DataFrame:
    text = pl.col("response").str.strip_chars().alias("text")
    return answers.with_columns(text).select(_SIDE)


def _told_apart(pairs: pl.DataFrame, settings: SelectSettings, by: PairSettings) -> pl.DataFrame:
    """The pairs with a wide gap: in quality, or where a question has none such, in the judge's."""
    quality = pl.col("quality") - pl.col("quality_rejected")
    judge = pl.col("judge") - pl.col("judge_rejected")
    by_quality = pairs.filter(quality >= by.min_gap).with_columns(
        by=pl.lit("performance"), gap=quality
    )
    if by.min_judge_gap is None:
        return by_quality
    right = settings.least_quality if settings.is_best else 1.0
    both = pl.min_horizontal("quality", "quality_rejected") >= right
    unscored = pl.col("quality").is_null() & pl.col("quality_rejected").is_null()
    by_judge = (
        pairs.join(by_quality, on="place", how="anti")
        .filter((both.fill_null(value=False) | unscored) & (judge >= by.min_judge_gap))
        .with_columns(by=pl.lit("llm_judge"), gap=judge)
    )
    return pl.concat([by_quality, by_judge])


def _apart(pairs: pl.DataFrame, most: int) -> pl.DataFrame:
    """The first pairs of each question in which no answer stands twice."""
    kept: list[bool] = []
    question, used, count = None, set[str](), 0
    for place, one, other in pairs.select("place", "text", "text_rejected").iter_rows():
        if place != question:
            question, used, count = place, set[str](), 0
        fits = count < most and one not in used and other not in used
        if fits:
            used |= {one, other}
            count += 1
        kept.append(fits)
    return pairs.filter(pl.Series(kept, dtype=pl.Boolean)).select(
        "no", "no_rejected", "place", "by", "gap"
    )


def _members(answers: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    numbers = pl.concat([pairs["no"], pairs["no_rejected"].alias("no")])
    return answers.filter(pl.col("no").is_in(numbers.to_list()))


def _told(answers: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs with all that is known of both answers."""
    known = answers.select("no", "arm", "sample", "response", "tokens")
    asked = answers.select("no", "query_id", "task", "domain")
    return (
        pairs.join(asked, on="no", maintain_order="left")
        .join(known, on="no", maintain_order="left")
        .join(
            known, left_on="no_rejected", right_on="no", suffix="_rejected", maintain_order="left"
        )
    )


def _pair(row: dict[str, Any], pool: Pool) -> Pair:
    return Pair(
        query_id=row["query_id"],
        task=row["task"],
        domain=row["domain"],
        prompt=pool.prompts[row["query_id"]],
        chosen=row["response"],
        rejected=row["response_rejected"],
        chosen_arm=row["arm"],
        rejected_arm=row["arm_rejected"],
        chosen_sample=row["sample"],
        rejected_sample=row["sample_rejected"],
        by=row["by"],
        gap=row["gap"],
    )


def _account(told: pl.DataFrame, settings: SelectSettings) -> dict[str, Any]:
    """JSON values: how many, told apart by what, and how long both sides are."""
    longer = told["tokens"] > told["tokens_rejected"]
    shorter = told["tokens"] < told["tokens_rejected"]
    return {
        "pairs": told.height,
        "questions": told["place"].n_unique(),
        "by": dict(told["by"].value_counts(sort=True).iter_rows()),
        "chosen": lengths(told["tokens"]),
        "rejected": lengths(told["tokens_rejected"]),
        "chosen_longer": int(longer.sum()),
        "chosen_shorter": int(shorter.sum()),
        "rejected_by_student": int((told["arm_rejected"] == (settings.student or "")).sum()),
        "chosen_arms": dict(told["arm"].value_counts(sort=True).iter_rows()),
        "rejected_arms": dict(told["arm_rejected"].value_counts(sort=True).iter_rows()),
    }
