"""The page at `/` and what it asks."""

from __future__ import annotations

__all__: list[str] = []
