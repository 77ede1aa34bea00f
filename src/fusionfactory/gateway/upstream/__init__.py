"""Calling endpoints for a waiting client: pools, attempts, breakers, deadlines."""

from __future__ import annotations

__all__: list[str] = []
