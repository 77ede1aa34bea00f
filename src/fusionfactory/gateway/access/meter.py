"""What keys use and spend: counters in memory that all workers share, each with a place of its own.

Only its own worker writes a place, so nobody needs a lock, and a reader adds the places up. The
memory is a file: what was spent outlives workers that are killed and gateways that are restarted;
a machine that loses its power may forget the last seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.gateway.access.cells import Cells
from fusionfactory.gateway.access.elsewhere import ROWS, Elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from fusionfactory.types import FloatArray

__all__ = ["MINUTE_S", "MOST_WORKERS", "Meter", "Meters", "Used", "gathered", "periods"]

MINUTE_S = 60.0
DAY_S = 86_400.0
MOST_WORKERS = 64
_USE = slice(0, 5)
"""Minute; requests and tokens in it; requests and tokens in the minute before."""
_DAY = slice(5, 9)
"""Day; its USD, the requests that they are of, the requests of unknown cost."""
_MONTH = slice(9, 13)
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


class Meter:
    """The counters of one key.

    Args:
        cells: (13, workers) a row per counter, a column per worker.
        worker: Whose column is written.
        elsewhere: What other gateways count; None where there is no other.
    """

    def __init__(
        self, cells: FloatArray, worker: int = 0, elsewhere: Elsewhere | None = None
    ) -> None:
        self._cells, self._mine = cells, cells[:, worker]
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

        A request of unknown cost counts as much as those of known cost do on average: nothing
        only where no cost is known at all.
        """
        day, month = periods(now)
        return self._spent(_DAY, day), self._spent(_MONTH, month)

    def spent_here_usd(self, now: float) -> tuple[float, float]:
        """Likewise, by this gateway's own requests."""
        day, month = periods(now)
        return self._spent_here(_DAY, day), self._spent_here(_MONTH, month)

    def _spent(self, rows: slice, period: float) -> float:
        total, priced, unpriced = _sums(self._columns(rows), period)
        return total * (priced + unpriced) / priced if priced else total

    def _spent_here(self, rows: slice, period: float) -> float:
        total, priced, _ = _sums(self._columns(rows), period)
        here, _, unpriced = _sums(zip(*self._cells[rows].tolist(), strict=True), period)
        return here + unpriced * total / priced if priced else here

    def _columns(self, rows: slice) -> Iterator[tuple[float, ...]]:
        yield from zip(*self._cells[rows].tolist(), strict=True)
        if self.elsewhere is not None:
            yield self.elsewhere.counted(rows)

    def charge(self, now: float, usd: float | None) -> None:
        """Adds the cost of a request; None where it is unknown."""
        mine = self._mine
        for rows, period in zip((_DAY, _MONTH), periods(now), strict=True):
            at = rows.start
            if mine[at] != period:
                mine[rows] = period, 0.0, 0.0, 0.0
            if usd is None:
                mine[at + 3] += 1.0
            else:
                mine[at + 1] += usd
                mine[at + 2] += 1.0


def _sums(columns: Iterable[tuple[float, ...]], period: float) -> tuple[float, float, float]:
    """USD, requests of known cost and those of unknown cost in a period."""
    total = priced = unpriced = 0.0
    for at, usd, known, unknown in columns:
        if at == period:
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
    for rows, period in ((_DAY, day), (_MONTH, month)):
        within = cells[:, rows.start] == period
        counts = slice(rows.start + 1, rows.stop)
        made[:, counts] = (cells[:, counts] * within[:, None]).sum(axis=2)
    for rows, period in ((_USE, minute), (_DAY, day), (_MONTH, month)):
        made[:, rows.start] = np.where(made[:, rows.start + 1 : rows.stop].any(axis=1), period, 0.0)
    return made


class Meters:
    """The counters of all keys, in a file of the gateway's state.

    Args:
        folder: The gateway's state.
        worker: Who counts.
        workers: How many count; what more of them counted earlier stays counted.
        shared: Whether other gateways count, too.
    """

    def __init__(
        self, folder: Path, worker: int = 0, workers: int = MOST_WORKERS, *, shared: bool = False
    ) -> None:
        self._cells = Cells(folder / "shared" / "usage", ROWS, MOST_WORKERS)
        self._elsewhere = Elsewhere.cells(folder) if shared else None
        self._worker, self._workers = worker, workers

    def __call__(self, number: int) -> Meter:
        """The counters of the key of this number.

        Raises:
            ConfigError: The file is not of this form.
        """
        cells = self._cells(number)
        (counted,) = cells[_MONTH.start].nonzero()
        wide = max(self._workers, int(counted.max(initial=-1)) + 1)
        elsewhere = None if self._elsewhere is None else Elsewhere(self._elsewhere(number))
        return Meter(cells[:, :wide], self._worker, elsewhere)

    def upto(self, keys: int) -> FloatArray:
        """The counters of so many keys, at least: (keys, 13, workers), no copy.

        Raises:
            ConfigError: The file is not of this form.
        """
        return self._cells.upto(keys)

    def move(self, numbers: Mapping[int, int]) -> None:
        """Gives keys other numbers: what they used goes with them.

        Args:
            numbers: The old one to the new one.
        """
        cells = self._cells.upto(max((*numbers, *numbers.values())) + 1)
        before = {old: cells[old].copy() for old in numbers}
        for old in numbers:
            cells[old] = 0.0
        for old, new in numbers.items():
            cells[new] = before[old]
