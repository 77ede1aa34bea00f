"""Processes, health, metrics, spans, structured logs, reloading."""

from __future__ import annotations

__all__: list[str] = []
