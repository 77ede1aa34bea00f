"""Routers whose choices are recorded beside the one that counts."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from fusionfactory.errors import PolicyError
from fusionfactory.gateway.routing.batching import Unanswered
from fusionfactory.gateway.routing.choosing import best_arm

if TYPE_CHECKING:
    import asyncio

    from fusionfactory.gateway.routing.case import Case
    from fusionfactory.gateway.routing.served import Served
    from fusionfactory.gateway.routing.trade import Row

__all__ = ["Shadows"]


class Shadows:
    """Shadow routers by version."""

    def __init__(self) -> None:
        self._served: dict[str, Served] = {}

    def put(self, version: str, served: Served | None) -> None:
        """Adds a router, in place of an older one of that version; None takes it out."""
        old = self._served.pop(version, None)
        if old is not None:
            old.close()
        if served is not None:
            self._served[version] = served

    @property
    def versions(self) -> tuple[str, ...]:
        """Those that are there."""
        return tuple(self._served)

    @property
    def plans(self) -> frozenset[str]:
        """Names of the plans that they may choose."""
        return frozenset().union(*(served.plans for served in self._served.values()))

    def choose(self, case: Case) -> dict[str, str]:
        """Version to the arm that it would choose; of those that must estimate first, later.

        Nobody waits for them: the dict that is returned is filled when their estimates come.
        """
        choices: dict[str, str] = {}
        for served in self._served.values():
            row = served.estimation.kept(case.question)
            if row is not None:
                _choose(choices, case, served, row)
                continue
            with contextlib.suppress(Unanswered):
                coming = served.estimation.coming(case.question)
                coming.add_done_callback(partial(_come, choices, case, served))
        return choices

    def close(self) -> None:
        """Takes all out."""
        for version in self.versions:
            self.put(version, None)


def _come(choices: dict[str, str], case: Case, served: Served, coming: asyncio.Future[Row]) -> None:
    if coming.cancelled() or coming.exception() is not None:
        return
    served.estimation.keep(case.question, coming.result())
    _choose(choices, case, served, coming.result())


def _choose(choices: dict[str, str], case: Case, served: Served, row: Row) -> None:
    with contextlib.suppress(PolicyError):
        choices[served.version] = best_arm(served, row, case.policy, case.columns(served))
