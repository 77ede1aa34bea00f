"""Who asks: the client of a request, and what it may do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from fusionfactory.gateway.access.meter import Meter

__all__ = ["ANYONE", "Client"]

_FORBIDDEN = 403


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """The holder of a key, or anyone where keys are off.

    Attributes:
        key: Name of the key; None where keys are off.
        admin: Whether it may see every client's decisions, and promote routers.
        models: Models it may use; None for all.
        ends: Unix seconds from which the key is no longer good.
        usd_per_day: Budget; None for no limit.
        usd_per_month: Likewise.
        rpm: Requests per minute.
        tpm: Tokens per minute.
        meter: Counts what it uses; None where nothing is counted.
    """

    key: str | None
    admin: bool = False
    models: frozenset[str] | None = None
    ends: float = math.inf
    usd_per_day: float | None = None
    usd_per_month: float | None = None
    rpm: int | None = None
    tpm: int | None = None
    meter: Meter | None = None

    def may_use(self, arm: str) -> bool:
        """Whether it may use a model or an arm, by name."""
        return self.models is None or arm.partition("|")[0] in self.models

    def check(self, arm: str) -> None:
        """Refuses a model or an arm that the key may not use.

        Raises:
            Refusal: 403.
        """
        if not self.may_use(arm):
            has = ", ".join(sorted(self.models or ())) or "none"
            msg = f"the key {self.key!r} may not use {arm!r}; it may use auto and: {has}"
            raise Refusal(_FORBIDDEN, msg, code="model_not_allowed", param="model")


ANYONE = Client(None, admin=True)
"""Asks where keys are off."""
