"""Which of the answers that are left are taken: the best of each question, within the caps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.distill.selecting.sieve import BUDGET, CAP, NEAR, SAME_MODEL, TOP_K, left, reject
from fusionfactory.tasks.sampling import rank

if TYPE_CHECKING:
    from fusionfactory.distill.selecting.settings import SelectSettings
    from fusionfactory.types import FloatArray

__all__ = ["Picker", "digests", "ranked"]

_KEYS = {
    "best": ("quality", "judge"),
    "performance": ("quality",),
    "judge": ("judge",),
    "hybrid": ("quality", "judge"),
    "label": (),
}
_WORD = re.compile(r"\w+")


def ranked(frame: pl.DataFrame, settings: SelectSettings) -> pl.DataFrame:
    """The answers question by question, the best first.

    By the criterion's scores, high to low; then by cost, low to high; unknown ones last. What is
    still equal is ordered by a digest of seed, question, arm and sample: never by length or place.
    """
    keys = _KEYS[settings.criterion]
    return (
        frame.with_columns(tie=digests(frame, settings.seed))
        .sort(
            ["place", *keys, "cost_usd", "tie"],
            descending=[False, *(True for _ in keys), False, False],
            nulls_last=True,
        )
        .drop("tie")
    )


def digests(answers: pl.DataFrame, seed: int) -> pl.Series:
    """Where each answer stands in the order of a seed, by question, arm and sample."""
    names = answers.select(
        pl.concat_str("query_id", "arm", pl.col("sample").cast(pl.String), separator=":")
    ).to_series()
    return pl.Series([rank(seed, name) for name in names], dtype=pl.String)


class Picker:
    """Takes the best answers of each question, and of the questions those that caps leave.

    Answers are compared once, however often it picks.

    Args:
        settings: The numbers.
    """

    def __init__(self, settings: SelectSettings) -> None:
        self._settings = settings
        self._runs: dict[int, frozenset[tuple[str, ...]]] = {}

    def pick(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Gives reasons to all that is not taken.

        Args:
            frame: As `ranked` orders it, with `reason`.
        """
        usable = left(frame)
        given = usable.select("no").with_columns(
            given=pl.Series(self._reasons(usable), dtype=pl.String)
        )
        frame = frame.join(given, on="no", how="left", maintain_order="left")
        frame = frame.with_columns(reason=pl.coalesce("reason", "given")).drop("given")
        if self._settings.per_task is not None or self._settings.token_budget is not None:
            frame = self._capped(frame)
        return frame

    def _reasons(self, usable: pl.DataFrame) -> list[str | None]:
        """Why each answer is not among the best of its question; None where it is."""
        settings = self._settings
        reasons: list[str | None] = []
        question = None
        kept: list[tuple[int, str, str]] = []
        rows = usable.select("place", "no", "model", "response").iter_rows()
        for place, no, model, response in rows:
            if place != question:
                question, kept = place, []
            reason = None
            if len(kept) == settings.top_k:
                reason = TOP_K
            elif settings.one_per_model and any(model == other for _, other, _ in kept):
                reason = SAME_MODEL
            elif settings.drops_near and any(
                self._near(no, response, other, text) for other, _, text in kept
            ):
                reason = NEAR
            else:
                kept.append((no, model, response))
            reasons.append(reason)
        return reasons

    def _near(self, one: int, text: str, other: int, other_text: str) -> bool:
        """Whether two answers go the same way: equal, or most runs of words of both are of both."""
        mine, theirs = self._runs_of(one, text), self._runs_of(other, other_text)
        if mine == theirs:
            return True
        return len(mine & theirs) >= self._settings.near * len(mine | theirs)

    def _runs_of(self, no: int, text: str) -> frozenset[tuple[str, ...]]:
        """Every three words that follow each other; all words of a shorter text."""
        found = self._runs.get(no)
        if found is None:
            said = _WORD.findall(text.casefold()) or text.split()
            runs = zip(said, said[1:], said[2:], strict=False)
            found = frozenset(runs) or frozenset({tuple(said)})
            self._runs[no] = found
        return found

    def _capped(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Whole questions while they fit, of every task those first that come first by `_order`."""
        settings = self._settings
        questions = (
            left(frame)
            .group_by("place", "query_id", "task", "solved")
            .agg(examples=pl.len(), cost=(pl.col("tokens") + pl.col("prompt_tokens")).sum())
        )
        questions = _order(questions, settings)
        if settings.per_task is not None:
            over = pl.col("examples").cum_sum().over("task") > settings.per_task
            late = questions.filter(over)["place"]
            frame = reject(frame, CAP, pl.col("place").is_in(late.to_list()))
            questions = questions.filter(~over)
        if settings.token_budget is not None:
            sums = questions.group_by("task", maintain_order=True).agg(pl.col("cost").sum())
            shares = _shares(sums["cost"].to_numpy(), settings.token_budget)
            allowed = sums.select("task", allowed=pl.Series(shares))
            spent = questions.join(allowed, on="task", nulls_equal=True, maintain_order="left")
            # A share that takes all of a task is a sum of the same numbers in another order.
            over = pl.col("cost").cum_sum().over("task") > pl.col("allowed") + 1e-6
            late = spent.filter(over)["place"]
            frame = reject(frame, BUDGET, pl.col("place").is_in(late.to_list()))
        return frame


def _order(questions: pl.DataFrame, settings: SelectSettings) -> pl.DataFrame:
    """Under `best` the questions that fewest arms are right on first; else by a digest."""
    ties = [rank(settings.seed, name) for name in questions["query_id"]]
    first = ["solved"] if settings.is_best else []
    by = [*first, "tie"]
    return questions.with_columns(tie=pl.Series(ties, dtype=pl.String)).sort(by, nulls_last=True)


def _shares(sums: FloatArray, budget: float) -> FloatArray:
    """(t,) what each task may spend: the same for all, and what one leaves for the others."""
    shares = np.zeros(len(sums))
    rest = float(budget)
    order = np.argsort(sums, kind="stable")
    for done, task in enumerate(order):
        shares[task] = min(sums[task], rest / (len(sums) - done))
        rest -= shares[task]
    return shares
