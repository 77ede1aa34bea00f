"""What a gateway tells others of one store about its clients' keys, and hears from them.

Workers ask no database: they read files of their machine. One duty keeps those up to date: it
copies the keys, exchanges what they used, and takes parts of budgets. So a change reaches every
gateway within two periods of the duty, and requests go on where the store is away: with the keys
and limits that were known last, and with budgets as far as they were granted.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.gateway.access.elsewhere import PERIODS, Elsewhere
from fusionfactory.gateway.access.grants import Grants, Wish
from fusionfactory.gateway.access.keys import KeyFile
from fusionfactory.gateway.access.meter import gathered, periods
from fusionfactory.gateway.access.meters import Meters
from fusionfactory.gateway.access.shared_keys import SharedKeys
from fusionfactory.gateway.access.usage import SharedUsage
from fusionfactory.gateway.operations.presence import Presence
from fusionfactory.gateway.routing.shared import GatewayCount
from fusionfactory.gateway.shared import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fusionfactory.config import Config
    from fusionfactory.gateway.access.key import Key
    from fusionfactory.gateway.access.keys import Stamp
    from fusionfactory.gateway.access.meter import Spending
    from fusionfactory.serve_settings import ServeSection
    from fusionfactory.store import Store
    from fusionfactory.types import FloatArray

__all__ = ["Sharing"]

_PERIOD_S = 0.25
_LOOK_S = 0.01
"""How often it is looked whether a request waits for more of a budget."""
_TELL_S = 1.0
_TAKE_S = 0.5
"""How often a grant changes that no request waits for."""
_FORGET_S = 3600.0
_ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  nothing is bound here


class Sharing:
    """Keeps a gateway's keys, limits and budgets in step with those of the others.

    Args:
        config: Of the gateway.
        store: That it shares with others; PostgreSQL.
        clock: Unix seconds.

    Raises:
        ConfigError: A file of the state folder cannot be used.
    """

    def __init__(
        self, config: Config, store: Store, *, clock: Callable[[], float] = time.time
    ) -> None:
        settings = config.serve
        folder, name = settings.state, identity(settings.state)
        self._clock = clock
        self._file = KeyFile(folder, SharedKeys(store))
        self._stamp: Stamp = None
        self._keys: dict[int, Key] = {}
        self._meters = Meters(folder, shared=True)
        self._cells = Elsewhere.cells(folder)
        self._usage, self._grants = SharedUsage(store, name), Grants(store, name)
        self._presence = Presence(store, name, _address(settings))
        self._gateways = GatewayCount(folder / "shared")
        self._told_at = self._forgot_at = -_FORGET_S
        self._taken_at: dict[int, float] = {}
        self._waiting: set[int] = set()
        self._under_way: FloatArray = np.zeros(0)

    def step(self) -> int:
        """One period: an exchange with the store, then whatever is asked until its end.

        Returns:
            1: the next one follows at once.

        Raises:
            ConfigError: The file of keys is malformed, or has another key of a shared one's name.
            StoreError: The store cannot be reached; requests go on with what is known.
        """
        end = time.monotonic() + _PERIOD_S
        self.exchange()
        while time.monotonic() < end:
            self.answer()
            time.sleep(_LOOK_S)
        return 1

    def exchange(self) -> None:
        """Tells what has changed here, and takes over what has changed elsewhere.

        Raises:
            ConfigError, StoreError: As `step`.
        """
        moment, now = time.monotonic(), self._clock()
        if moment - self._told_at >= _TELL_S:
            self._gateways.value = self._presence.tell()
            self._told_at = moment
        if moment - self._forgot_at >= _FORGET_S:
            self._grants.forget(dict(zip(PERIODS, (at - 1 for at in periods(now)), strict=True)))
            self._forgot_at = moment
        self.answer()
        self._file.follow()
        self._read_keys()
        self._waiting.update(self._tell(now))
        self._waiting.update(self._hear(now))
        due = {
            number
            for number in self._waiting
            if moment - self._taken_at.get(number, -_TAKE_S) >= _TAKE_S
        }
        held = {number for number in due if self._holds(number, now)}
        self._waiting -= due - held
        self._take(held)

    def answer(self) -> None:
        """Takes more of the budgets for which requests wait.

        Raises:
            StoreError: The store cannot be reached; they are told to try again.
        """
        asking = Elsewhere.asking(self._cells.upto(1))
        if asking:
            self._read_keys()
            self._take(asking)

    def leave(self) -> None:
        """Tells the last things of a gateway that has ended, and leaves its part to the others.

        Raises:
            ConfigError, StoreError: As `step`; its part counts as spent until it is there again.
        """
        self.exchange()
        now = self._clock()
        Elsewhere.hold_all(self._cells.upto(1))
        held = [number for number in self._keys if self._holds(number, now)]
        wishes = [wish for number in held for wish in self._wishes(number, now)]
        self._grants.give_back(wishes, lambda wish: self._spending(wish, now))
        self._presence.leave()

    def _read_keys(self) -> None:
        stamp = self._file.stamp()
        if stamp != self._stamp:
            self._keys = {key.number: key for key in self._file.read()}
            self._stamp = stamp
            self._cells.upto(max(self._keys, default=0) + 1)

    def _tell(self, now: float) -> list[int]:
        """Tells what was used; gives the keys of which it, or what is under way, has changed."""
        if not self._keys:
            return []
        count = max(self._keys) + 1
        mine = gathered(self._meters.upto(count)[:count], now)
        used = np.flatnonzero(mine.any(axis=1)).tolist()
        changed = self._usage.tell({number: mine[number] for number in used})
        under_way = self._meters.under_way(count)
        moved = np.flatnonzero(under_way[: len(self._under_way)] != self._under_way[:count])
        self._under_way = under_way
        return [*changed, *moved.tolist()]

    def _hear(self, now: float) -> Iterable[int]:
        heard = self._usage.hear()
        for number, counters in heard.items():
            Elsewhere(self._cells(number)).put(gathered(counters[None], now)[0])
        return heard

    def _holds(self, number: int, now: float) -> bool:
        """Whether this gateway spends of the key's budgets or may, so that others should know.

        It spends without a grant what was under way when a day or month began.
        """
        known = Elsewhere(self._cells(number))
        return any(
            known.grant(period).at == at or spending.used_usd > 0
            for period, at, spending in zip(
                PERIODS, periods(now), self._meters(number).spending(now), strict=True
            )
        )

    def _take(self, numbers: Iterable[int]) -> None:
        now, moment = self._clock(), time.monotonic()
        known = {number: Elsewhere(self._cells(number)) for number in numbers}
        asked = {number: elsewhere.asked for number, elsewhere in known.items()}
        wishes = [wish for number in known for wish in self._wishes(number, now)]

        def lower(wish: Wish, usd: float) -> None:
            known[wish.key].lower(wish.period, wish.at, usd)

        given = self._grants.take(wishes, lambda wish: self._spending(wish, now), lower)
        for wish, grant in zip(wishes, given, strict=True):
            known[wish.key].give(wish.period, grant)
        for number, elsewhere in known.items():
            elsewhere.answer(asked[number])
            self._taken_at[number] = moment
        # Where the store was not reached, they wait on.
        self._waiting -= known.keys()
        # What was granted to a request that left is soon given back.
        self._waiting |= {wish.key for wish in wishes if wish.is_urgent}

    def _spending(self, wish: Wish, now: float) -> Spending:
        return self._meters(wish.key).spending(now)[PERIODS.index(wish.period)]

    def _wishes(self, number: int, now: float) -> list[Wish]:
        key = self._keys.get(number)
        if key is None:
            return []
        budgets = zip(PERIODS, periods(now), (key.usd_per_day, key.usd_per_month), strict=True)
        is_urgent = Elsewhere(self._cells(number)).is_asking
        return [
            Wish(number, period, at, usd, is_urgent)
            for period, at, usd in budgets
            if usd is not None
        ]


def _address(settings: ServeSection) -> str:
    host = socket.gethostname() if settings.host in _ANYWHERE else settings.host
    return f"{host}:{settings.port}"
