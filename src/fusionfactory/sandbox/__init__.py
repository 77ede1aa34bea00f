"""Runs programs that nobody trusts, isolated by the kernel, or not at all."""

from __future__ import annotations

from fusionfactory.sandbox.base import Limits, Run

__all__ = ["Limits", "Run"]
