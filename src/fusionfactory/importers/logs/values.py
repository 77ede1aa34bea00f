"""Values of log records as they come: JSON kept as text, times in many notations."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["decoded", "first", "number", "objects", "propensity_in", "time_of"]

_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From what size on a count since 1970 is one of nanoseconds, microseconds, milliseconds."""


def decoded(value: Any) -> Any:  # noqa: ANN401  any JSON
    """A JSON list or object that is kept as text, as what it is; anything else as given."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def objects(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401  any JSON
    """The objects of a list, perhaps kept as text; none where it is no list."""
    value = decoded(value)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def first(item: Mapping[str, Any], *names: str) -> Any:  # noqa: ANN401  any JSON
    """The first value of these names that is there and neither null nor empty text."""
    return next((item[n] for n in names if item.get(n) is not None and item[n] != ""), None)


def number(value: Any) -> float | None:  # noqa: ANN401  any JSON
    """A finite number, also one kept as text; None for anything else."""
    if isinstance(value, str | int | float):
        try:
            read = float(value)
        except (ValueError, OverflowError):
            return None
        return read if math.isfinite(read) else None
    return None


def time_of(value: Any, file: Path, row: int, field: str) -> datetime | None:  # noqa: ANN401
    """A time in UTC from ISO text, seconds to nanoseconds since 1970, or a column of times.

    A time that names no zone is one of UTC.

    Raises:
        FormatError: It is none of these.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, datetime):
            read = value
        elif (count := number(value)) is not None:
            unit = next((unit for size, unit in _UNITS if abs(count) >= size), 1.0)
            read = datetime.fromtimestamp(count / unit, UTC)
        else:
            read = datetime.fromisoformat(value)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        msg = f"{value!r:.60} is no time: expected ISO 8601 or a count since 1970"
        raise FormatError(msg, file=file, row=row, field=field) from None


def propensity_in(*places: Any) -> Any:  # noqa: ANN401  any JSON
    """The value `propensity` of the first object, perhaps kept as text, that has one."""
    for place in map(decoded, places):
        if isinstance(place, dict):
            found = first(place, "propensity", "fusionfactory.propensity")
            if found is not None:
                return found
    return None
