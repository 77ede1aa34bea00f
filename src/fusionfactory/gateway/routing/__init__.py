"""From a request to the arms that may answer it, the best first."""

from __future__ import annotations

__all__: list[str] = []
