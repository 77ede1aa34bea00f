"""The writer without an LLM: sentences of the best answers, told as advice."""

from __future__ import annotations

__all__: list[str] = []
