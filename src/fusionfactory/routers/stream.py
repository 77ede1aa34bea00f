"""Training outcomes that memory does not hold: read block by block, as often as need be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import numpy as np

from fusionfactory.routers.cost import CostModel
from fusionfactory.routers.gram import RidgeSums
from fusionfactory.routers.views import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from fusionfactory.encoders import Encoder
    from fusionfactory.outcome_sums import OutcomeSums
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["Block", "FitsFrom", "Footing", "Stream"]

Block: TypeAlias = "tuple[OutcomeTable, FloatArray]"
"""Outcomes of some queries, and the queries' (n, d) features. Texts and responses may be absent."""

FitsFrom: TypeAlias = Literal["statistics", "sample"]


@dataclass(frozen=True)
class Footing:
    """What routers over one encoder have in common, learned once for all of them.

    Attributes:
        views: Column weights, by the sample.
        cost: Expected cost.
        task_coef: (d, t) of the regression that tells a query's task.
        task_intercept: (t,).
        quality_coef: (d, m) of the ridge regression of quality.
        quality_intercept: (m,).
    """

    views: Views | None
    cost: CostModel
    task_coef: FloatArray
    task_intercept: FloatArray
    quality_coef: FloatArray
    quality_intercept: FloatArray

    @classmethod
    def of(cls, stream: Stream) -> Self:
        """Reads the stream three times, once with and once without its features, once with both."""
        sums, normaliser = stream.sums, stream.sums.normaliser()
        prices = np.array([(a.input_price, a.output_price) for a in sums.arms], dtype=np.float64)
        cost = CostModel().survey((table for table, _ in stream.blocks()), prices)
        tasks, arms = len(normaliser.tasks_), len(sums.arms)
        ridge = RidgeSums(stream.sample_features.shape[1], tasks + 3 * arms)
        for table, features in stream.blocks():
            labels = normaliser.one_hot(table.tasks)
            ridge.add(features, np.hstack([labels, cost.log_amounts(table), table.quality]))
        cost.finish(*ridge.solve(slice(tasks, tasks + 2 * arms)), stream.blocks())
        return cls(
            Views().fit(stream.sample_features, stream.encoder) if stream.encoder else None,
            cost,
            *ridge.solve(slice(tasks)),
            *ridge.solve(slice(tasks + 2 * arms, None)),
        )


@dataclass(frozen=True)
class Stream:
    """Training outcomes with the features of one encoder.

    Attributes:
        blocks: Gives all blocks, the same ones each time it is called.
        sums: Means of everything in them.
        sample: Outcomes of some of their queries, drawn at random, with texts.
        encoder: What encoded the queries, fitted on the sample; None leaves rows without columns.
        fingerprint: Of the outcomes.
        seen: 64-bit digests of the queries' texts: see `normal_text.text_digests`.
    """

    blocks: Callable[[], Iterator[Block]]
    sums: OutcomeSums
    sample: OutcomeTable
    encoder: Encoder | None
    fingerprint: str
    seen: NDArray[np.uint64]

    @cached_property
    def sample_features(self) -> FloatArray:
        """(n, d) features of the sample's queries."""
        if self.encoder is None:
            return np.zeros((len(self.sample), 0), dtype=np.float32)
        return self.encoder.encode(self.sample.texts)

    @cached_property
    def footing(self) -> Footing:
        """What routers over this encoder have in common."""
        return Footing.of(self)
