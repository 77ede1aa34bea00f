"""Who may ask, how often and for how much.

A limit is checked before a request, and what the request used is charged after it. Until then it
counts as much as the key's requests cost on average. So a budget is overspent by one request, and
by what those under way at that moment cost beyond the average: all of it where no cost is known
yet. Where several workers admit at once, budgets and rates are overrun by one request more for each
of the others, at most.

Where several gateways share a budget, each lets requests in as far as they fit into what it was
granted of it, and all grants together are the budget and one request, at most. A rate is overrun by
what the others let in before this one hears of it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from hashlib import sha256
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError
from fusionfactory.gateway.access.admission import Admission
from fusionfactory.gateway.access.client import ANYONE, Client
from fusionfactory.gateway.access.keys import KeyFile
from fusionfactory.gateway.access.meters import Meters
from fusionfactory.gateway.access.refusals import (
    held,
    no_key,
    no_longer_good,
    out_of_budget,
    too_fast,
    unknown_key,
    unsure,
)
from fusionfactory.gateway.access.room import Room, rooms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fusionfactory.gateway.access.elsewhere import Elsewhere
    from fusionfactory.gateway.access.key import Key
    from fusionfactory.gateway.access.keys import Stamp
    from fusionfactory.serve_settings import ServeSection

__all__ = ["Access"]

_LOOK_S = 0.25
"""How often the file of keys is looked at; a revoked key is refused so long after, at most."""
_ASK_S = 2.0
"""How long a request waits for more of a budget, where this gateway has used up what it had."""
_DEAF_S = 1.0
"""How long the key's others do not wait after one that did so in vain."""
_AGAIN_S = 0.01

_log = logging.getLogger(__name__)


class Access:
    """The clients of a gateway, in one of its workers.

    Args:
        settings: Whether a key is needed.
        folder: The gateway's state: `keys.json` and the counters shared by all workers.
        worker: Number of this worker, from 0.
        workers: How many there are.
        shared: Whether limits and budgets are those of several gateways together.
        clock: Unix seconds.

    Raises:
        ConfigError: The file of keys or that of the counters is malformed.
    """

    def __init__(
        self,
        settings: ServeSection,
        folder: Path,
        worker: int = 0,
        workers: int = 1,
        *,
        shared: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 <= worker < workers:
            msg = f"{worker} is no worker of {workers}: they are numbered from 0"
            raise ConfigError(msg, field="serve.workers")
        self.needs_keys = settings.needs_keys
        self._file = KeyFile(folder)
        self._meters = Meters(folder, worker, workers, shared=shared)
        self._clock = clock
        self._deaf_until: dict[str | None, float] = {}
        self._waiting: dict[str | None, asyncio.Task[None]] = {}
        self._clients: dict[bytes, Client] = {}
        self._stamp: Stamp = None
        self._looked = -math.inf
        if self.needs_keys:
            self._read(self._file.stamp())

    @property
    def is_empty(self) -> bool:
        """Whether a key is needed and there is none: nobody gets in."""
        return self.needs_keys and not self._clients

    def authorise(self, headers: Mapping[str, str]) -> Client:
        """Who asks, by the header `authorization: Bearer KEY`.

        Args:
            headers: Of the request; names in small letters, or of a mapping that ignores case.

        Raises:
            Refusal: 401: no key, an unknown one, or one that is expired or revoked.
        """
        if not self.needs_keys:
            return ANYONE
        now = self._clock()
        if not 0.0 <= now - self._looked < _LOOK_S:
            self._look(now)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise no_key(empty=self.is_empty)
        # Found by its hash, a key gives nothing away by the time that it takes to refuse it.
        client = self._clients.get(sha256(token.strip().encode()).digest())
        if client is None:
            raise unknown_key()
        if now >= client.ends:
            raise no_longer_good(client)
        return client

    def recover(self) -> None:
        """Charges what was under way in the worker before this one, which was killed.

        Raises:
            ConfigError: The file of the counters is malformed.
        """
        self._meters.recover(self._clock())

    async def prepare(self, client: Client) -> None:
        """Waits before `admit`, if need be, until there is more of a budget that gateways share.

        Args:
            client: Who asks.
        """
        meter, loop = client.meter, asyncio.get_running_loop()
        if meter is None or meter.elsewhere is None or self._settled(client, Room.SPENT):
            return
        until = loop.time() + _ASK_S
        while until > loop.time() >= self._deaf_until.get(client.key, 0.0):
            waiting = self._waiting.get(client.key)
            if waiting is None:
                waiting = self._waiting[client.key] = loop.create_task(
                    self._wait(client, meter.elsewhere, until)
                )
                waiting.add_done_callback(lambda _: self._waiting.pop(client.key))
            # A client that hangs up ends nobody else's wait.
            await asyncio.shield(waiting)
            if self._settled(client, Room.SPENT, Room.HELD):
                return
            # What all waited for, the first ones took.

    async def _wait(self, client: Client, elsewhere: Elsewhere, until: float) -> None:
        """One wait for all requests of a key."""
        loop = asyncio.get_running_loop()
        asked = elsewhere.ask()
        while loop.time() < until:
            await asyncio.sleep(_AGAIN_S)
            answered = elsewhere.is_answered(asked)
            if self._settled(client, Room.SPENT, *((Room.HELD,) if answered else ())):
                return
            if answered:  # others still hold what is left: they give it back when they hear of it
                asked = elsewhere.ask()
        self._deaf_until[client.key] = loop.time() + _DEAF_S

    def admit(self, client: Client, tokens: int) -> Admission:
        """Lets a request in, and counts it as under way.

        Args:
            client: Who asks.
            tokens: Of the prompt, estimated.

        Returns:
            To settle once what it used is known, whatever becomes of it.

        Raises:
            Refusal: 429: the budget is spent, or requests under way hold what is left of it, or
                there were too many requests or tokens. 503: other gateways may have some of it
                left, or not: the store cannot be asked.
        """
        meter = client.meter
        if meter is None:
            return Admission(None, self._clock)
        now = self._clock()
        self._check_budgets(client, now)
        headers: dict[str, str] = {}
        if client.rpm is not None or client.tpm is not None:
            for kind, limit, wanted, used in zip(
                ("requests", "tokens"), (client.rpm, client.tpm), (1, tokens), meter.used(now),
                strict=True,
            ):  # fmt: skip
                if limit is None:
                    continue
                left = limit - used.total - wanted
                if left < 0:
                    raise too_fast(client, kind, limit, wanted, used)
                headers[f"x-ratelimit-limit-{kind}"] = str(limit)
                headers[f"x-ratelimit-remaining-{kind}"] = str(int(left))
                headers[f"x-ratelimit-reset-{kind}"] = f"{math.ceil(used.reset_s)}s"
        return Admission(meter, self._clock, tokens, headers)

    @staticmethod
    def _check_budgets(client: Client, now: float) -> None:
        found = rooms(client, now)
        for period, room in found.items():
            if room is Room.SPENT:
                raise out_of_budget(client, period, now)
        for period, room in found.items():
            if room is Room.HELD:
                raise held(client, period)
            if room is Room.NOT_HERE:
                raise unsure(client, period)

    def _settled(self, client: Client, *refused: Room) -> bool:
        """Whether there is room, or none for one of these reasons."""
        found = rooms(client, self._clock()).values()
        return not set(found).isdisjoint(refused) or all(room is Room.SOME for room in found)

    def _look(self, now: float) -> None:
        self._looked = now
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return
        try:
            self._read(stamp)
        except ConfigError as error:
            self._stamp = stamp
            _log.error("the keys stay as they were, for their file cannot be used: %s", error)

    def _read(self, stamp: Stamp) -> None:
        keys = self._file.read()
        self._clients = {bytes.fromhex(key.sha256): self._client(key) for key in keys}
        self._stamp = stamp

    def _client(self, key: Key) -> Client:
        ends = math.inf if key.expires is None else key.expires.timestamp()
        return Client(
            key=key.name,
            admin=key.admin,
            models=None if key.models is None else frozenset(key.models),
            ends=ends if key.revoked is None else -math.inf,
            usd_per_day=key.usd_per_day,
            usd_per_month=key.usd_per_month,
            rpm=key.rpm,
            tpm=key.tpm,
            meter=self._meters(key.number),
        )
