"""How students compare with the model that they were made of."""

from __future__ import annotations

__all__: list[str] = []
