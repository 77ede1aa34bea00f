"""Ceilings: how much of the oracle's gain is luck, and how many queries no arm can answer.

The maximum over noisy scores is too high: an arm that guesses right once looks as if it could be
chosen for that (Smith and Winkler 2006, The optimizer's curse; for routing, The capability
frontier, arXiv 2606.26836). With several samples an arm is chosen by some and measured by the
others. With one, a latent class model (Lazarsfeld and Henry 1968) with beta-binomial shrinkage
tells what arms do on queries of a kind; what it does not explain counts as luck.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fusionfactory.errors import TableError
from fusionfactory.metrics import mean_or_nan
from fusionfactory.robustness.kinds import Kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Ceilings", "ceilings", "sampled_oracle"]

_RIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What a router could reach at best, on queries that every arm answered.

    Attributes:
        queries: How many.
        best_single: Mean quality of the best arm.
        oracle: Mean of every query's best score, luck included.
        corrected: What an oracle reaches that knows each arm's expected quality on each kind of
            query, but not how an answer falls out. Skill on single queries that no other arm
            shares counts as luck, so the truth lies between this and `oracle`.
        kinds: Kinds of queries in the model.
        replayed: The oracle that the model predicts; far from `oracle`, the model does not fit.
        luck: Share of the oracle's gain over the best arm that `corrected` lacks; NaN without gain.
        co_failure: Share of the queries that every arm fails (scores below one half).
        co_failure_if_independent: The same, if arms failed independently of one another.
    """

    queries: int
    best_single: float
    oracle: float
    corrected: float
    kinds: int
    replayed: float
    luck: float
    co_failure: float
    co_failure_if_independent: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def ceilings(table: OutcomeTable, *, seed: int = 0) -> Ceilings:
    """The ceilings of one sample per cell.

    Args:
        table: Outcomes; queries that an arm did not answer are left out.
        seed: Of the model.

    Raises:
        TableError: No query was answered by every arm.
    """
    answered = np.asarray(table.observed().all(axis=1))
    if not answered.any():
        msg = "no query was answered by every arm: leave out the arms that miss the most"
        raise TableError(msg, field="arms")
    table = table.rows(answered)
    quality = np.clip(table.quality, 0.0, 1.0)
    labels = _labels(table)
    kinds = Kinds.chosen(quality, labels, seed)
    weights = kinds.weights(quality, labels)
    single, oracle = float(quality.mean(axis=0).max()), float(quality.max(axis=1).mean())
    corrected = min(max(kinds.expected_best(weights), single), oracle)
    wrong = quality < _RIGHT
    return Ceilings(
        queries=len(quality),
        best_single=single,
        oracle=oracle,
        corrected=corrected,
        kinds=len(kinds.share),
        replayed=kinds.lucky_best(weights),
        luck=(oracle - corrected) / (oracle - single) if oracle > single else float("nan"),
        co_failure=float(wrong.all(axis=1).mean()),
        co_failure_if_independent=float(np.prod(wrong.mean(axis=0))),
    )


def _labels(table: OutcomeTable) -> IntArray:
    """(n,) number of every query's task and domain."""
    named = table.queries.select(pl.concat_str("task", "domain", separator="|", ignore_nulls=True))
    ranks = named.to_series().fill_null("").rank("dense").to_numpy()
    return np.asarray(ranks, dtype=np.int64) - 1


def sampled_oracle(samples: Sequence[OutcomeTable]) -> float:
    """Mean quality of an oracle that chooses by all samples but one and is measured by that one.

    Each sample is left out once; arms that are equal in the others share the query. It is unbiased
    for this oracle, and a lower bound for one that knows the expected quality.

    Args:
        samples: One table per sample (`store.table(sample=k)`), with the same queries and arms.

    Raises:
        TableError: There are fewer than two samples, or they differ in queries or arms.
    """
    if len(samples) < 2:
        msg = f"needs at least two samples of every answer, got {len(samples)}"
        raise TableError(msg, field="sample")
    first = samples[0]
    for other in samples[1:]:
        same = other.queries["query_id"].equals(first.queries["query_id"])
        if not same or other.arm_names != first.arm_names:
            msg = "the samples differ in queries or arms: select those that they have in common"
            raise TableError(msg, field="sample")
    cells = np.stack([table.quality for table in samples])
    values = [_left_out(np.delete(cells, i, axis=0), cells[i]) for i in range(len(cells))]
    return mean_or_nan(np.concatenate(values))


def _left_out(others: FloatArray, measured: FloatArray) -> FloatArray:
    """(n,) what the arms that are best in the other samples score in this one."""
    usable = ~np.isnan(measured) & ~np.isnan(others).any(axis=0)
    mean = np.where(usable, others.mean(axis=0), -np.inf)
    best = usable & (mean >= mean.max(axis=1, keepdims=True))
    count = best.sum(axis=1)
    total = np.where(best, measured, 0.0).sum(axis=1)
    unknown = np.full(len(count), np.nan)
    return np.asarray(np.divide(total, count, out=unknown, where=count > 0))
