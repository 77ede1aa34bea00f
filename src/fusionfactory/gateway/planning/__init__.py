"""Plans that are served as models: which request runs one, and how it is run."""

from __future__ import annotations

__all__: list[str] = []
