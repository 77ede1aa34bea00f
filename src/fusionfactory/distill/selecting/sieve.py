"""What turns an answer away, and for which reason; the first one counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.errors import DistillError
from fusionfactory.types import JUDGE_ONLY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.distill.selecting.settings import SelectSettings

__all__ = [
    "BUDGET",
    "CAP",
    "NEAR",
    "REASONS",
    "SAME_MODEL",
    "SPLIT",
    "TOP_K",
    "UNSCORED",
    "UNVERIFIED",
    "complete",
    "left",
    "reject",
    "sieved",
    "student_limits",
]

_FAILED = "failed call"
_EMPTY = "empty answer"
_NO_LABEL = "no target that its scorer accepts as an answer"
SPLIT = "question of another split"
_CONTAMINATED = "question is held out too"
UNSCORED = "not scored"
_WRONG = "not right"
_UNJUDGED = "not judged"
_LOW = "judged too low"
_CUT = "cut off at the token limit"
_DIFFICULTY = "too few or too many arms are right"
_LONG = "too long for the student"
_UNSCORABLE = "no metric or target to score it again by"
UNVERIFIED = "scored otherwise when scored again"
NEAR = "near a better answer"
SAME_MODEL = "the model has a better answer"
TOP_K = "beyond the best of its question"
CAP = "beyond the task's cap"
BUDGET = "beyond the token budget"

REASONS = (
    SPLIT, _FAILED, _EMPTY, _NO_LABEL, _CONTAMINATED, UNSCORED, _WRONG, _UNJUDGED, _LOW, _CUT,
    _DIFFICULTY, _LONG, _UNSCORABLE, UNVERIFIED, NEAR, SAME_MODEL, TOP_K, CAP, BUDGET,
)  # fmt: skip
"""Every reason, in the order of the steps."""

_JUDGED_RIGHT = 0.8
"""From here the judge's rubric calls an answer good."""
_USUAL_SHARE = 0.9
_LIMITED = "length"


def reject(frame: pl.DataFrame, reason: str, where: pl.Expr) -> pl.DataFrame:
    """Gives this reason to the answers that have none yet."""
    hit = pl.col("reason").is_null() & where.fill_null(value=False)
    return frame.with_columns(reason=pl.when(hit).then(pl.lit(reason)).otherwise("reason"))


def left(frame: pl.DataFrame) -> pl.DataFrame:
    """The answers that nothing turned away."""
    return frame.filter(pl.col("reason").is_null())


def complete(answers: pl.DataFrame) -> pl.DataFrame:
    """The answers that a model gave in full to questions that may be trained on, right or not."""
    cut = (pl.col("finish_reason") == _LIMITED).fill_null(value=False)
    blank = pl.col("response").is_null() | (pl.col("response").str.strip_chars() == "")
    usable = pl.col("error").is_null() & pl.col("wanted") & ~pl.col("contaminated")
    return answers.filter(usable & ~blank & ~cut)


def student_limits(own: pl.DataFrame, settings: SelectSettings) -> dict[str | None, float]:
    """Tokens of the longest answer that the student is taught, per task that it has answered.

    Args:
        own: The student's answers, with `task`, `tokens`, `response`.
        settings: How far an answer may go beyond them.
    """
    said = own.filter(pl.col("response").str.strip_chars() != "")
    usual = said.group_by("task").agg(pl.col("tokens").quantile(_USUAL_SHARE, "higher"))
    return {
        task: max(settings.stretch * tokens, float(settings.always_fits))
        for task, tokens in usual.iter_rows()
    }


def sieved(
    frame: pl.DataFrame, settings: SelectSettings, limits: Mapping[str | None, float]
) -> pl.DataFrame:
    """The answers with the column `reason`, null where none of them can be said from itself.

    Args:
        frame: `Pool.frame`.
        settings: What is asked of an answer.
        limits: From `student_limits`.

    Raises:
        DistillError: The criterion ranks by scores, and no answer has one.
    """
    label = settings.criterion == "label"
    frame = frame.with_columns(reason=pl.lit(None, pl.String))
    frame = reject(frame, SPLIT, ~pl.col("wanted"))
    frame = reject(frame, _FAILED, pl.col("error").is_not_null())
    blank = pl.col("response").is_null() | (pl.col("response").str.strip_chars() == "")
    frame = reject(frame, _NO_LABEL if label else _EMPTY, blank)
    frame = reject(frame, _CONTAMINATED, pl.col("contaminated"))
    _check_scores(frame, settings)
    frame = _rightly_answered(frame, settings)
    if settings.is_best:
        frame = reject(frame, _CUT, pl.col("finish_reason") == _LIMITED)
    if settings.solved is not None:
        frame = reject(frame, _DIFFICULTY, ~pl.col("solved").is_between(*settings.solved))
    longest = pl.col("task").replace_strict(
        limits, default=settings.max_tokens, return_dtype=pl.Float64
    )
    frame = reject(frame, _LONG, pl.col("tokens") > longest)
    if settings.verifies:
        frame = reject(frame, _UNSCORABLE, ~pl.col("scorable"))
    return frame


def _rightly_answered(frame: pl.DataFrame, settings: SelectSettings) -> pl.DataFrame:
    quality, judge = pl.col("quality"), pl.col("judge")
    by_judge = pl.lit(value=False)
    if settings.is_best:
        # What has no target has no quality: there the judge says what is right.
        by_judge = (pl.col("metric") == JUDGE_ONLY).fill_null(value=False)
        least = _JUDGED_RIGHT if settings.min_judge is None else settings.min_judge
        frame = reject(frame, _UNJUDGED, by_judge & judge.is_null())
        frame = reject(frame, _LOW, by_judge & (judge < least))
    if settings.criterion != "judge" or settings.least_quality > 0:
        frame = reject(frame, UNSCORED, ~by_judge & quality.is_null())
        frame = reject(frame, _WRONG, ~by_judge & (quality < settings.least_quality))
    if settings.criterion in {"judge", "hybrid"} or settings.min_judge is not None:
        frame = reject(frame, _UNJUDGED, judge.is_null())
    if settings.min_judge is not None:
        frame = reject(frame, _LOW, judge < settings.min_judge)
    return frame


def _check_scores(frame: pl.DataFrame, settings: SelectSettings) -> None:
    usable = left(frame)
    if usable.is_empty() or settings.criterion == "label":
        return
    if settings.criterion in {"judge", "hybrid"} and usable["judge"].is_null().all():
        msg = (
            f"the criterion {settings.criterion!r} needs a judge's scores and there are none: let "
            "an LLM grade the answers first (`fusionfactory judge`), or use another criterion"
        )
        raise DistillError(msg, field="llm_judge")
    scored = usable.filter(pl.col("quality").is_not_null() | (pl.col("metric") == JUDGE_ONLY))
    if settings.criterion != "judge" and scored.is_empty():
        msg = "no answer has a quality: score them first (`fusionfactory score`)"
        raise DistillError(msg, field="performance")
