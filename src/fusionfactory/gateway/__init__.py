"""The gateway: one OpenAI-compatible endpoint that routes, answers, logs and learns."""

from __future__ import annotations

__all__: list[str] = []
