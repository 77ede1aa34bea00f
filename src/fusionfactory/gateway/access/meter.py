"""What keys use and spend: counters in memory that all workers share, each with a place of its own.

Only its own worker writes a place, so nobody needs a lock, and a reader adds the places up. The
memory is a file: what was spent outlives workers that are killed and gateways that are restarted;
a machine that loses its power may forget the last seconds.
"""

from __future__ import annotations

import fcntl
import mmap
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fusionfactory.types import FloatArray

__all__ = ["MINUTE_S", "MOST_WORKERS", "Meter", "Meters", "Used"]

MINUTE_S = 60.0
DAY_S = 86_400.0
MOST_WORKERS = 64
_USE = slice(0, 5)
"""Minute; requests and tokens in it; requests and tokens in the minute before."""
_DAY = slice(5, 9)
"""Day; its USD, the requests that they are of, the requests of unknown cost."""
_MONTH = slice(9, 13)
"""Month; likewise."""
_ROWS = 13
_KEY_BYTES = _ROWS * MOST_WORKERS * 8
_KEYS_AT_A_TIME = 64
"""By which the file grows; what no key uses yet takes no room on the disk."""


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
    """

    def __init__(self, cells: FloatArray, worker: int) -> None:
        self._cells, self._mine = cells, cells[:, worker]

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
        """USD of this day and of this month, in UTC.

        A request of unknown cost counts as much as those of known cost do on average: nothing
        only where no cost is known at all.
        """
        day = now // DAY_S
        return self._spent(_DAY, day), self._spent(_MONTH, _month(day))

    def _spent(self, rows: slice, period: float) -> float:
        total = priced = unpriced = 0.0
        for at, usd, known, unknown in self._columns(rows):
            if at == period:
                total += usd
                priced += known
                unpriced += unknown
        return total * (priced + unpriced) / priced if priced else total

    def _columns(self, rows: slice) -> Iterator[tuple[float, ...]]:
        return zip(*self._cells[rows].tolist(), strict=True)

    def charge(self, now: float, usd: float | None) -> None:
        """Adds the cost of a request; None where it is unknown."""
        day, mine = now // DAY_S, self._mine
        for rows, period in ((_DAY, day), (_MONTH, _month(day))):
            at = rows.start
            if mine[at] != period:
                mine[rows] = period, 0.0, 0.0, 0.0
            if usd is None:
                mine[at + 3] += 1.0
            else:
                mine[at + 1] += usd
                mine[at + 2] += 1.0


@lru_cache(maxsize=4)
def _month(day: float) -> float:
    """Number of the calendar month of a day since 1970."""
    date = datetime.fromtimestamp(day * DAY_S, UTC)
    return float(date.year * 12 + date.month)


class Meters:
    """The counters of all keys, in a file of the gateway's state.

    Args:
        folder: The gateway's state.
        worker: Who counts.
        workers: How many count; what more of them counted earlier stays counted.
    """

    def __init__(self, folder: Path, worker: int = 0, workers: int = MOST_WORKERS) -> None:
        self.path = folder / "shared" / "usage"
        self._worker, self._workers = worker, workers
        self._all: FloatArray = np.empty((0, _ROWS, MOST_WORKERS))

    def __call__(self, number: int) -> Meter:
        """The counters of the key of this number.

        Raises:
            ConfigError: The file is not of this form.
        """
        if number >= len(self._all):
            self._all = self._mapped((number // _KEYS_AT_A_TIME + 1) * _KEYS_AT_A_TIME * _KEY_BYTES)
        cells = self._all[number]
        (counted,) = cells[_MONTH.start].nonzero()
        wide = max(self._workers, int(counted.max(initial=-1)) + 1)
        return Meter(cells[:, :wide], self._worker)

    def _mapped(self, size: int) -> FloatArray:
        """The file, at least so long; a lock keeps one from cutting off what another mapped."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.tell() < size:
                file.truncate(size)
            # Before the mapping, which keeps the file open and would keep the lock with it.
            fcntl.flock(file, fcntl.LOCK_UN)
            memory = mmap.mmap(file.fileno(), 0)
        if len(memory) % _KEY_BYTES:
            msg = (
                f"holds {len(memory)} bytes, no multiple of {_KEY_BYTES}: it is no file of usage; "
                "delete it, and budgets begin anew"
            )
            raise ConfigError(msg, file=self.path)
        return np.frombuffer(memory, dtype=np.float64).reshape(-1, _ROWS, MOST_WORKERS)
