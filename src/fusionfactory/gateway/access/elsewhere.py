"""What other gateways count of a key, and how far this one's spending may rise.

The workers of a gateway read this from memory that they share with the process that talks to the
store: no request waits for the store, but one whose key has used up what this gateway was granted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.gateway.access.cells import Cells

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.gateway.access.meter import Spending
    from fusionfactory.types import FloatArray

__all__ = ["PERIODS", "ROWS", "Elsewhere", "Grant"]

PERIODS = ("day", "month")
ROWS = 13
"""Counters of a key at a gateway: the rows of `Meter`, the columns of the store's `key_usage`."""
_GRANTS = {"day": 13, "month": 16}
"""Where each begins: the number of the day or month; up to what; what nobody has or may have."""
_ASKED, _ANSWERED = 19, 20
_ROUNDING = 1e-9
_ALL_ROWS = 21


@dataclass(frozen=True, slots=True)
class Grant:
    """How far the spending of a gateway may rise.

    Attributes:
        at: Number of the day or month.
        usd: Up to what this gateway lets requests in.
        free_usd: What of the budget nobody has spent, as far as is known; what a gateway that has
            been silent was granted counts as spent.
    """

    at: float
    usd: float
    free_usd: float

    def has_room(self, spending: Spending) -> bool:
        """Whether one more request fits in, at what requests cost on average."""
        left_usd = self.usd - spending.used_usd
        return left_usd > 0 and left_usd >= spending.request_usd * (1 - _ROUNDING)


class Elsewhere:
    """What is known of one key beyond this gateway.

    One process writes the counters and grants, all workers may ask.

    Args:
        cells: (21, 1) of the key.
    """

    def __init__(self, cells: FloatArray) -> None:
        self._cells = cells[:, 0]

    @classmethod
    def cells(cls, folder: Path) -> Cells:
        """The cells of all keys, in a file of the gateway's state."""
        return Cells(folder / "shared" / "elsewhere", _ALL_ROWS, 1)

    @classmethod
    def asking(cls, cells: FloatArray) -> list[int]:
        """Numbers of the keys for which more is asked.

        Args:
            cells: (keys, 21, 1) of many.
        """
        (found,) = (cells[:, _ASKED, 0] != cells[:, _ANSWERED, 0]).nonzero()
        numbers: list[int] = found.tolist()
        return numbers

    @classmethod
    def hold_all(cls, cells: FloatArray) -> None:
        """Ends every grant of many keys, (keys, 21, 1)."""
        for start in _GRANTS.values():
            cells[:, start + 1, 0] = 0.0

    def counted(self, rows: slice) -> tuple[float, ...]:
        """Counters of the others, as one column of `Meter`."""
        return tuple(self._cells[rows].tolist())

    def put(self, counters: FloatArray) -> None:
        """Enters the counters of the others, (13,)."""
        self._cells[:ROWS] = counters

    def grant(self, period: str) -> Grant:
        """The one in force for a `day` or `month`."""
        start = _GRANTS[period]
        return Grant(*self._cells[start : start + 3].tolist())

    def give(self, period: str, grant: Grant) -> None:
        """Puts a grant in force."""
        start, mine = _GRANTS[period], self._cells
        if mine[start] != grant.at:
            # Whoever reads in between must not take the old amount for the new day's.
            mine[start + 1] = 0.0
            mine[start] = grant.at
        mine[start + 2] = grant.free_usd
        mine[start + 1] = grant.usd

    def lower(self, period: str, at: float, usd: float) -> None:
        """Lets spending rise to no more than this."""
        now = self.grant(period)
        if now.at != at:
            self.give(period, Grant(at, 0.0, 0.0))
        elif now.usd > usd:
            self.give(period, Grant(at, usd, now.free_usd))

    def ask(self) -> float:
        """Asks for more.

        Returns:
            A number to look for by `is_answered`.
        """
        self._cells[_ASKED] += 1.0
        return float(self._cells[_ASKED])

    def is_answered(self, number: float) -> bool:
        """Whether what is in force was asked for later than that."""
        return bool(self._cells[_ANSWERED] >= number)

    @property
    def is_asking(self) -> bool:
        """Whether more is asked that is not answered."""
        return bool(self._cells[_ASKED] != self._cells[_ANSWERED])

    @property
    def asked(self) -> float:
        """The last number."""
        return float(self._cells[_ASKED])

    def answer(self, number: float) -> None:
        """Says that everything asked by then is answered."""
        self._cells[_ANSWERED] = number
