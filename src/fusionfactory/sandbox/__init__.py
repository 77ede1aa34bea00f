"""Runs programs that nobody trusts, isolated by the kernel, or not at all."""

from __future__ import annotations

from fusionfactory.sandbox.base import DEFAULT_LIMITS, Limits, Run, Sandbox, Verdict
from fusionfactory.sandbox.batch import run_many
from fusionfactory.sandbox.probe import find_sandbox, make_sandbox

__all__ = [
    "DEFAULT_LIMITS",
    "Limits",
    "Run",
    "Sandbox",
    "Verdict",
    "find_sandbox",
    "make_sandbox",
    "run_many",
]
