"""What gives a question's answer away, or belongs to that question alone."""

from __future__ import annotations

__all__: list[str] = []
