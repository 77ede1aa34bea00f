"""The API: what clients send and get, in OpenAI's form."""

from __future__ import annotations

__all__: list[str] = []
