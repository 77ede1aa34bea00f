"""From the log to a better router: estimates, promotion, shadow, judging, alarms."""

from __future__ import annotations

__all__: list[str] = []
