"""Client keys, their limits and budgets."""

from __future__ import annotations

__all__: list[str] = []
