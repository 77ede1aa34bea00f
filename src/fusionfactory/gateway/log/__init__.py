"""What is kept of every request, and how it gets into the store."""

from __future__ import annotations

__all__: list[str] = []
