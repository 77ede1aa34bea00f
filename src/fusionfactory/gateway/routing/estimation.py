"""What a router expects of a text: kept if the text came lately, else estimated off the loop."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from fusionfactory.errors import PolicyError
from fusionfactory.gateway.routing.batching import Batcher
from fusionfactory.gateway.routing.trade import Row
from fusionfactory.routers import Router
from fusionfactory.thoughts.prompt import cut

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from fusionfactory.types import Estimates, FloatArray

__all__ = ["Estimation", "Question"]

_ROWS = 2048
"""Texts whose estimates are kept."""

_LONGEST = 20_000
"""Characters that are looked at; of a longer text both ends, lest it hold up all others."""


class Question(NamedTuple):
    """A text as routers see it.

    Attributes:
        text: What is looked at.
        key: By which its estimates are kept.
    """

    text: str
    key: bytes

    @classmethod
    def of(cls, text: str) -> Self:
        """A very long text is looked at from both ends."""
        seen = text if len(text) <= _LONGEST else cut(text, _LONGEST)
        told = seen.encode("utf-8", "surrogatepass")
        return cls(seen, hashlib.blake2b(told, digest_size=16, usedforsecurity=False).digest())


class Estimation:
    """The estimates of one router, for some of its arms.

    Args:
        router: Fitted.
        columns: Of the arms, in the order in which rows have them.
        patience_s: See `Batcher`.
        rows: Texts whose estimates are kept.
    """

    def __init__(
        self,
        router: Router,
        columns: Sequence[int],
        *,
        patience_s: float = 1.0,
        rows: int = _ROWS,
    ) -> None:
        self._router, self._columns, self._most = router, np.asarray(columns, dtype=int), rows
        self._names = [router.arms_[i].name for i in columns]
        self._own_way = type(router).choose is not Router.choose
        self._kept: OrderedDict[bytes, Row] = OrderedDict()
        self._batcher: Batcher[str, Row] = Batcher(
            self.rows, name="estimates", patience_s=patience_s
        )

    def kept(self, question: Question) -> Row | None:
        """The row of a text that came lately."""
        row = self._kept.get(question.key)
        if row is not None:
            self._kept.move_to_end(question.key)
        return row

    async def row(self, question: Question, within_s: float) -> Row:
        """The row of a text.

        Raises:
            Unanswered: The router fails, hangs, or does not answer within so many seconds.
        """
        row = self.kept(question)
        if row is None:
            row = await self._batcher.ask(question.text, within_s)
            self.keep(question, row)
        return row

    def coming(self, question: Question) -> asyncio.Future[Row]:
        """The row of a text, for whoever need not wait for it.

        Raises:
            Unanswered: As `row`.
        """
        return self._batcher.submit(question.text)

    def keep(self, question: Question, row: Row) -> None:
        """Keeps a row for the next time."""
        self._kept[question.key] = row
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def close(self) -> None:
        """Ends the thread after what it has been asked already."""
        self._batcher.close()

    def rows(self, texts: Sequence[str]) -> list[Row]:
        """The rows of texts, by one call of the router.

        Raises:
            PolicyError: An estimate of quality is no finite number.
        """
        router = self._router
        estimates = router.estimate(list(texts))
        quality = np.asarray(estimates.quality)[:, self._columns]
        if not np.isfinite(quality).all():
            msg = f"router {router.name!r} expects a quality that is no finite number"
            raise PolicyError(msg)
        slopes = router.normaliser_.slopes(estimates.task_weights, len(estimates))
        std = estimates.quality_std
        deviations = None if std is None else np.nan_to_num(std[:, self._columns]).tolist()
        tasks = self._tasks(estimates.task_weights, len(texts))
        costs = np.asarray(estimates.cost_usd)[:, self._columns].tolist()
        return [
            Row(
                quality=expected,
                cost_usd=usd,
                quality_slope=float(slopes[0][i]),
                cost_slope=float(slopes[1][i]),
                quality_std=None if deviations is None else deviations[i],
                task=tasks[i],
                told=self._told(expected, usd),
                whole=_one(estimates, i) if self._own_way else None,
            )
            for i, (expected, usd) in enumerate(zip(quality.tolist(), costs, strict=True))
        ]

    def _tasks(self, weights: FloatArray | None, count: int) -> list[str | None]:
        if weights is None:
            return [None] * count
        names = self._router.normaliser_.tasks_
        return [names[i] for i in weights.argmax(axis=1).tolist()]

    def _told(
        self, quality: list[float], cost_usd: list[float]
    ) -> dict[str, tuple[float, float | None]]:
        """Quality within [0, 1] where it is one, as in a `Decision`."""
        if not self._router.policy_bound:
            quality = [min(max(value, 0.0), 1.0) for value in quality]
        known = [None if math.isnan(usd) else usd for usd in cost_usd]
        return dict(zip(self._names, zip(quality, known, strict=True), strict=True))


def _one(estimates: Estimates, row: int) -> Estimates:
    """The estimates of one query."""
    part = slice(row, row + 1)
    weights, std = estimates.task_weights, estimates.quality_std
    return replace(
        estimates,
        quality=estimates.quality[part].copy(),
        cost_usd=estimates.cost_usd[part].copy(),
        quality_std=None if std is None else std[part].copy(),
        task_weights=None if weights is None else weights[part].copy(),
    )
