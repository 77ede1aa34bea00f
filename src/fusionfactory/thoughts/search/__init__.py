"""Finding the templates of similar questions."""

from __future__ import annotations

__all__: list[str] = []
