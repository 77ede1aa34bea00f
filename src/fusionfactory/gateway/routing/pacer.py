"""What exploration may still cost today."""

from __future__ import annotations

import math
import struct
import time
from typing import TYPE_CHECKING

from fusionfactory.gateway.routing.shared import GatewayCount, shared_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Pacer"]

_DAY_S = 86_400
_SLOT = struct.Struct("<qd")


class Pacer:
    """Counts, per day of UTC, the expected USD by which explored arms are dearer than the best.

    Each worker has its share of the budget and a slot of its own in the file, which outlives it, so
    that one which is started again goes on where it was. Of several gateways, those that were there
    today have equal shares; one that joins later finds that the others had more by then.

    Args:
        usd_per_day: Of all workers of all gateways together; None for any amount.
        path: The file; None for a count of this process alone.
        worker: Number of this worker, from 0.
        workers: How many there are.
        clock: Unix seconds.

    Raises:
        ConfigError: The file cannot be made.
    """

    def __init__(
        self,
        usd_per_day: float | None,
        path: Path | None = None,
        *,
        worker: int = 0,
        workers: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._share_usd = math.inf if usd_per_day is None else usd_per_day / workers
        self._slots = shared_bytes(path, max(workers, worker + 1) * _SLOT.size)
        self._gateways = GatewayCount(path and path.parent)
        self._at, self._clock = worker * _SLOT.size, clock

    @property
    def left_usd(self) -> float:
        """What this worker may still spend today; infinite without a budget."""
        if math.isinf(self._share_usd):
            return math.inf
        return self._share_usd / self._gateways.value - self._spent_usd()

    def spend(self, usd: float) -> None:
        """Counts one choice."""
        if math.isfinite(self._share_usd):
            _SLOT.pack_into(self._slots, self._at, self._today(), self._spent_usd() + usd)

    def close(self) -> None:
        """Lets go of the file."""
        self._slots.close()
        self._gateways.close()

    def _today(self) -> int:
        return int(self._clock() // _DAY_S)

    def _spent_usd(self) -> float:
        day, usd = _SLOT.unpack_from(self._slots, self._at)
        return float(usd) if day == self._today() else 0.0
