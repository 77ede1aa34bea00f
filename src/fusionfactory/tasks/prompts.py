"""The two prompt patterns of FusionBench: direct, and the same with a think suffix."""

from __future__ import annotations

from fusionfactory.errors import UnsupportedError
from fusionfactory.tasks.base import THINK

__all__ = ["STRATEGIES", "prompt"]

STRATEGIES = ("direct", "think")


def prompt(text: str, instruction: str, strategy: str) -> str:
    """The user message: question, instruction on the answer's form, perhaps the think suffix.

    Raises:
        UnsupportedError: The strategy is neither `direct` nor `think`.
    """
    if strategy not in STRATEGIES:
        msg = f"{strategy!r} is no prompt pattern; expected {' or '.join(STRATEGIES)}"
        raise UnsupportedError(msg)
    parts = [text, instruction, THINK if strategy == "think" else ""]
    return "\n\n".join(part for part in parts if part)
