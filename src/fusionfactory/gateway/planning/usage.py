"""The usage of several answers in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["summed_usage"]


def summed_usage(parts: Sequence[object]) -> dict[str, Any] | None:
    """The sum of what endpoints say that their answers used, details too.

    Args:
        parts: As each says it; anything but an object says nothing.

    Returns:
        None where an endpoint says nothing: the sum is then unknown.
    """
    known = [part for part in parts if isinstance(part, Mapping)]
    return _added(known) if known and len(known) == len(parts) else None


def _added(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        values = [part[name] for part in parts if part.get(name) is not None]
        if values and all(isinstance(value, Mapping) for value in values):
            total[name] = _added(values)
        elif values and all(type(value) in {int, float} for value in values):
            total[name] = sum(values)
        else:
            total[name] = values[-1] if values else None
    return total
