"""When to use templates, and how they compare with their controls."""

from __future__ import annotations

__all__: list[str] = []
