"""What all keys use and spend: counters in memory that the workers of a gateway share.

Only its own worker writes a place, so nobody needs a lock, and a reader adds the places up. The
memory is a file: what was spent outlives workers that are killed and gateways that are restarted;
a machine that loses its power may forget the last seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.gateway.access.cells import Cells
from fusionfactory.gateway.access.elsewhere import ROWS, Elsewhere
from fusionfactory.gateway.access.meter import MONTH, Meter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fusionfactory.types import FloatArray

__all__ = ["MOST_WORKERS", "Meters"]

MOST_WORKERS = 64


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
        self._under_way = Cells(folder / "shared" / "under-way", 1, MOST_WORKERS)
        self._elsewhere = Elsewhere.cells(folder) if shared else None
        self._worker, self._workers = worker, workers

    def __call__(self, number: int) -> Meter:
        """The counters of the key of this number.

        Raises:
            ConfigError: The file is not of this form.
        """
        cells = self._cells(number)
        (counted,) = cells[MONTH.start].nonzero()
        wide = max(self._workers, int(counted.max(initial=-1)) + 1)
        elsewhere = None if self._elsewhere is None else Elsewhere(self._elsewhere(number))
        under_way = self._under_way(number)[0]
        return Meter(cells[:, :wide], self._worker, elsewhere, under_way)

    def upto(self, keys: int) -> FloatArray:
        """The counters of so many keys, at least: (keys, 13, workers), no copy.

        Raises:
            ConfigError: The file is not of this form.
        """
        return self._cells.upto(keys)

    def under_way(self, keys: int) -> FloatArray:
        """Requests of so many keys that are not charged yet: (keys,).

        Raises:
            ConfigError: The file is not of this form.
        """
        counted: FloatArray = self._under_way.upto(keys)[:keys, 0].sum(axis=1)
        return counted

    def recover(self, now: float) -> None:
        """Charges what was under way in a process that is no more: at a cost that is not known.

        For a worker that begins; the first one does it for those that are not there any more, too.

        Args:
            now: Unix seconds.

        Raises:
            ConfigError: The file is not of this form.
        """
        under_way = self._under_way.upto(1)[:, 0]
        gone = [self._worker, *(range(self._workers, MOST_WORKERS) if self._worker == 0 else ())]
        left = under_way[:, gone].sum(axis=1)
        for number in np.flatnonzero(left).tolist():
            meter = self(number)
            for _ in range(int(left[number])):
                meter.charge(now, None)
        under_way[:, gone] = 0.0

    def move(self, numbers: Mapping[int, int]) -> None:
        """Gives keys other numbers: what they used goes with them.

        Args:
            numbers: The old one to the new one.
        """
        count = max((*numbers, *numbers.values())) + 1
        for cells in (self._cells.upto(count), self._under_way.upto(count)):
            before = {old: cells[old].copy() for old in numbers}
            for old in numbers:
                cells[old] = 0.0
            for old, new in numbers.items():
                cells[new] = before[old]
