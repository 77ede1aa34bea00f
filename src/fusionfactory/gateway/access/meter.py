"""What a key uses and spends: counters of several workers, each with a place of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.gateway.access.elsewhere import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fusionfactory.gateway.access.elsewhere import Elsewhere
    from fusionfactory.types import FloatArray

__all__ = ["MINUTE_S", "MONTH", "Meter", "Spending", "Used", "gathered", "periods"]

MINUTE_S = 60.0
DAY_S = 86_400.0
_USE = slice(0, 5)
"""Minute; requests and tokens in it; requests and tokens in the minute before."""
_DAY = slice(5, 9)
"""Day; its USD, the requests that they are of, the requests of unknown cost.

Requests that cost nothing, such as answers from the cache, are none of either: they would make the
average less than what one that is paid for costs.
"""
MONTH = slice(9, 13)
"""Month; likewise."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a key used of its limit in the last minute.

    The minute before the current one counts by the share of it that lies in the last 60 seconds.

    Attributes:
        now: In the current minute.
        before: In the one before.
        into_s: Seconds since the current minute began.
    """

    now: float
    before: float
    into_s: float

    @property
    def total(self) -> float:
        """In the last 60 seconds."""
        return max(0.0, self.now + self.before * (1.0 - self.into_s / MINUTE_S))

    def wait_s(self, room: float) -> float:
        """Seconds until no more than `room` was used in the last minute, if nothing is added."""
        if self.total <= room:
            return 0.0
        if self.now <= room:
            return MINUTE_S * (1.0 - (room - self.now) / self.before) - self.into_s
        return MINUTE_S * (2.0 - max(0.0, room) / self.now) - self.into_s

    @property
    def reset_s(self) -> float:
        """Seconds until nothing was used in the last minute."""
        if self.now > 0:
            return 2 * MINUTE_S - self.into_s
        return MINUTE_S - self.into_s if self.before > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Spending:
    """What a key has spent of a budget, and what its requests under way are to cost.

    Attributes:
        usd: Spent, other gateways included.
        here_usd: By this gateway's own requests.
        request_usd: What a request that is paid for costs on average; 0 where no cost is known.
        under_way: This gateway's requests that are not charged yet.
    """

    usd: float
    here_usd: float
    request_usd: float
    under_way: float

    @property
    def held_usd(self) -> float:
        """What the requests under way are to cost."""
        return self.under_way * self.request_usd

    @property
    def used_usd(self) -> float:
        """What this gateway has spent, and its requests under way are to cost."""
        return self.here_usd + self.held_usd


class Meter:
    """The counters of one key.

    Args:
        cells: (13, workers) a row per counter, a column per worker.
        worker: Whose column is written.
        elsewhere: What other gateways count; None where there is no other.
        under_way: (workers,) requests that are not charged yet; None where none are.
    """

    def __init__(
        self,
        cells: FloatArray,
        worker: int = 0,
        elsewhere: Elsewhere | None = None,
        under_way: FloatArray | None = None,
    ) -> None:
        self._cells, self._mine, self._worker = cells, cells[:, worker], worker
        self._under_way = np.zeros(cells.shape[1]) if under_way is None else under_way
        self.elsewhere = elsewhere

    def used(self, now: float) -> tuple[Used, Used]:
        """Requests and tokens of the last minute.

        Args:
            now: Unix seconds.
        """
        minute, into_s = divmod(now, MINUTE_S)
        requests, tokens, requests_before, tokens_before = 0.0, 0.0, 0.0, 0.0
        for at, asked, read, asked_before, read_before in self._columns(_USE):
            if at == minute:
                requests += asked
                tokens += read
                requests_before += asked_before
                tokens_before += read_before
            elif at == minute - 1:
                requests_before += asked
                tokens_before += read
        return Used(requests, requests_before, into_s), Used(tokens, tokens_before, into_s)

    def count(self, now: float, requests: float, tokens: float) -> None:
        """Adds to what is used; tokens may be negative, where fewer came than were expected."""
        minute, mine = now // MINUTE_S, self._mine
        last = mine[0]
        if last != minute:
            mine[3:5] = mine[1:3] if last == minute - 1 else 0.0
            mine[1:3] = 0.0
            mine[0] = minute
        mine[1] += requests
        mine[2] += tokens

    def spent_usd(self, now: float) -> tuple[float, float]:
        """USD of this day and of this month, in UTC, other gateways included.

        A request of unknown cost counts as much as those that cost something do on average: nothing
        only where no cost is known at all.
        """
        day, month = self.spending(now)
        return day.usd, month.usd

    def spending(self, now: float) -> tuple[Spending, Spending]:
        """Likewise, in more detail.

        Where nothing has cost anything on this day, the average is that of the month, and in a new
        month that of the one before, as far as this gateway knows it.
        """
        # Before the others: what ends in between counts twice rather than not at all.
        under_way = sum(self._under_way.tolist())
        day, month = periods(now)
        before, known, _ = _sums(self._own_columns(MONTH))
        of_month = self._spending(MONTH, month, before / known if known else 0.0, under_way)
        return self._spending(_DAY, day, of_month.request_usd, under_way), of_month

    def _spending(self, rows: slice, period: float, else_usd: float, under_way: float) -> Spending:
        total, priced, unpriced = _sums(self._columns(rows), period)
        here, _, unpriced_here = _sums(self._own_columns(rows), period)
        mean = total / priced if priced else else_usd
        return Spending(total + unpriced * mean, here + unpriced_here * mean, mean, under_way)

    def _columns(self, rows: slice) -> Iterator[tuple[float, ...]]:
        yield from self._own_columns(rows)
        if self.elsewhere is not None:
            yield self.elsewhere.counted(rows)

    def _own_columns(self, rows: slice) -> Iterator[tuple[float, ...]]:
        yield from zip(*self._cells[rows].tolist(), strict=True)

    def begin(self) -> None:
        """Counts a request as under way."""
        self._under_way[self._worker] += 1.0

    def end(self, now: float, usd: float | None) -> None:
        """Counts one as under way no longer, and charges it."""
        self.charge(now, usd)
        # None is left where a worker of the same number has begun beside this one, and charged it.
        self._under_way[self._worker] = max(0.0, self._under_way[self._worker] - 1.0)

    def charge(self, now: float, usd: float | None) -> None:
        """Adds the cost of a request; None where it is unknown."""
        mine = self._mine
        if usd == 0.0:
            return
        if usd is None and mine[MONTH.start] != periods(now)[1]:
            # With the first entry of a month, the average of the one before it is forgotten.
            usd = self.spending(now)[1].request_usd or None
        for rows, period in zip((_DAY, MONTH), periods(now), strict=True):
            at = rows.start
            if mine[at] != period:
                mine[rows] = period, 0.0, 0.0, 0.0
            if usd is None:
                mine[at + 3] += 1.0
            else:
                mine[at + 1] += usd
                mine[at + 2] += 1.0


def _sums(
    columns: Iterable[tuple[float, ...]], period: float | None = None
) -> tuple[float, float, float]:
    """USD, requests that they are of and those of unknown cost in a period, or in any."""
    total = priced = unpriced = 0.0
    for at, usd, known, unknown in columns:
        if period is None or at == period:
            total += usd
            priced += known
            unpriced += unknown
    return total, priced, unpriced


def periods(now: float) -> tuple[float, float]:
    """Numbers of the day and of the calendar month, in UTC."""
    day = now // DAY_S
    return day, _month(day)


@lru_cache(maxsize=4)
def _month(day: float) -> float:
    """Number of the calendar month of a day since 1970."""
    date = datetime.fromtimestamp(day * DAY_S, UTC)
    return float(date.year * 12 + date.month)


def gathered(cells: FloatArray, now: float) -> FloatArray:
    """Many counters of each key as one, as it stands now.

    Args:
        cells: (keys, 13, counters).
        now: Unix seconds.

    Returns:
        (keys, 13); zeros for a minute, day or month in which nothing was used.
    """
    minute, (day, month) = now // MINUTE_S, periods(now)
    made = np.zeros((len(cells), ROWS))
    at = cells[:, _USE.start]
    this, last = at == minute, at == minute - 1
    made[:, 1:3] = (cells[:, 1:3] * this[:, None]).sum(axis=2)
    made[:, 3:5] = (cells[:, 3:5] * this[:, None] + cells[:, 1:3] * last[:, None]).sum(axis=2)
    for rows, period in ((_DAY, day), (MONTH, month)):
        within = cells[:, rows.start] == period
        counts = slice(rows.start + 1, rows.stop)
        made[:, counts] = (cells[:, counts] * within[:, None]).sum(axis=2)
    for rows, period in ((_USE, minute), (_DAY, day), (MONTH, month)):
        made[:, rows.start] = np.where(made[:, rows.start + 1 : rows.stop].any(axis=1), period, 0.0)
    return made
