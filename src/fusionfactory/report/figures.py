"""Numbers as text: the same digits and units in every form of the report."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fusionfactory.report.parts import Point

__all__ = [
    "MISSING",
    "count",
    "decimal",
    "interval",
    "percent",
    "points",
    "significant",
    "tick",
    "usd",
]

MISSING = "–"
_MINUS = "−"


def decimal(value: float | None, digits: int = 3) -> str:
    """`0.652`."""
    return MISSING if value is None else _signed(f"{value:.{digits}f}")


def points(value: float | None) -> str:
    """A difference in points of .01 with its sign, `+4.3`."""
    return MISSING if value is None else _signed(f"{100 * value:+.1f}")


def interval(pair: Point | None) -> str:
    """`[+3.2, +5.5]` in points."""
    return MISSING if pair is None else f"[{points(pair[0])}, {points(pair[1])}]"


def percent(share: float | None) -> str:
    """`84 %`; never rounds to 0 or 100 what is neither."""
    if share is None:
        return MISSING
    if 0 < share < 0.01 or 0.99 < share < 1:
        return f"{floor(1000 * share) / 10:.1f} %"
    return _signed(f"{100 * share:.0f} %")


def usd(cost_usd: float | None) -> str:
    """USD per query as USD per 1,000 queries."""
    return significant(None if cost_usd is None else 1000 * cost_usd)


def significant(value: float | None, digits: int = 3) -> str:
    """So many significant digits, without an exponent unless it is extreme."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    size = floor(log10(abs(float(f"{value:.{digits - 1}e}"))))
    if not -6 <= size <= 9:
        return _signed(f"{value:.{digits - 1}e}")
    return _signed(f"{value:,.{max(0, digits - 1 - size)}f}")


def tick(value: float) -> str:
    """A round value without trailing zeros, `0.05`."""
    text = significant(value, 4)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def count(value: float | None) -> str:
    """`5,989`."""
    return MISSING if value is None else f"{value:,.0f}"


def _signed(text: str) -> str:
    if not text.strip("+-0., %"):
        text = text.lstrip("+-")
    return text.replace("-", _MINUS, 1) if text.startswith("-") else text
