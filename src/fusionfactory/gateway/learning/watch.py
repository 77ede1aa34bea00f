"""Looks for alarms again and again, and says in the log when one begins and when it ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

from fusionfactory.gateway.learning.alarms import check

if TYPE_CHECKING:
    from fusionfactory.gateway.learning.alarms import Alarm, AlarmKind
    from fusionfactory.gateway.log.traffic import Traffic
    from fusionfactory.serve_settings import AlarmSettings

    Subject: TypeAlias = tuple[AlarmKind, str | None]

__all__ = ["AlarmWatch"]

_log = logging.getLogger(__name__)


class AlarmWatch:
    """Says each alarm once, for as long as it lasts.

    Args:
        traffic: Of the gateway.
        settings: When to warn.
    """

    def __init__(self, traffic: Traffic, settings: AlarmSettings) -> None:
        self._traffic, self._settings = traffic, settings
        self._sounding: dict[Subject, Alarm] = {}

    def step(self) -> int:
        """Looks once; 0, for there is nothing to go on with at once.

        Raises:
            StoreError: The store cannot be read.
        """
        found = {(a.kind, a.arm): a for a in check(self._traffic, self._settings)}
        for subject, alarm in found.items():
            if subject not in self._sounding:
                _log.warning("alarm %s: %s", alarm.kind, alarm.message)
        for kind, arm in self._sounding.keys() - found.keys():
            _log.info("the alarm %s%s has ended", kind, f" of {arm}" if arm else "")
        self._sounding = found
        return 0
