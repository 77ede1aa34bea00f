"""Choosing what a student learns from: answers of all arms, sieved, ranked and accounted for."""

from __future__ import annotations

__all__: list[str] = []
