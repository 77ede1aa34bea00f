"""Rows of the FusionBench layout gathered from JSON objects, each with its place in its file."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import polars as pl

from fusionfactory.errors import FormatError
from fusionfactory.layout import NUMBERS, TEXTS, Origin, to_long
from fusionfactory.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fusionfactory.importers.files import JsonObject

__all__ = ["METRIC_TEXT", "Rows", "build", "needed"]

METRIC_TEXT = (
    r"^\s*\{\s*['\"][^'\"{}]+['\"]\s*:\s*(?:np\.float64\(\s*)?"
    r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*\)?\s*\}\s*$"
)
"""A metric written as text, for example `{'pass@1': np.float64(1.0)}`; its group is the number."""
_METRIC = re.compile(METRIC_TEXT)


def build(frame: pl.DataFrame, origin: Origin) -> OutcomeTable:
    """The table of a frame in the FusionBench layout."""
    return OutcomeTable.from_long(to_long(frame, source=origin), source=origin)


def needed(item: JsonObject, name: str, file: Path, row: int) -> Any:  # noqa: ANN401  any JSON
    """The value of a field that must be there and not null.

    Raises:
        FormatError: It is not.
    """
    value = item.get(name)
    if value is None:
        msg = "is null" if name in item else f"missing; found {', '.join(map(str, item))}"
        raise FormatError(msg, file=file, row=row, field=name)
    return value


class Rows:
    """Collects outcomes and turns them into a table.

    Args:
        fields: Column of the layout to the name it has in the files. Only these columns are taken.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = dict(fields)
        self._values: dict[str, list[Any]] = {name: [] for name in fields}
        self._rows: list[int] = []
        self._files: list[str] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, file: Path, row: int, values: Mapping[str, Any]) -> None:
        """Adds one outcome; an absent value is missing.

        Raises:
            FormatError: A value is of the wrong type.
        """
        for name, column in self._values.items():
            value = values.get(name)
            if value is not None:
                try:
                    value = _number(value) if name in NUMBERS else _text(value)
                except (TypeError, ValueError, OverflowError):
                    kind = "number" if name in NUMBERS else "text"
                    msg = f"{value!r:.200} is no {kind}"
                    raise FormatError(msg, file=file, row=row, field=self._fields[name]) from None
            column.append(value)
        self._rows.append(row)
        self._files.append(str(file))

    def table(self, path: Path) -> OutcomeTable:
        """The table of everything added.

        Args:
            path: What was read, for messages about the whole.

        Raises:
            FormatError: There are no rows, a value is out of its range, or two rows fill one cell.
        """
        return OutcomeTable.from_long(self.long(path), source=self._origin(path))

    def long(self, path: Path) -> pl.DataFrame:
        """Everything added, in the columns of `layout.to_long`, in the order it was added.

        Args:
            path: What was read, for messages about the whole.

        Raises:
            FormatError: There are no rows, or a value is out of its range.
        """
        if not self._rows:
            msg = "holds no outcomes"
            raise FormatError(msg, file=path)
        frame = pl.DataFrame(
            {
                name: pl.Series(name, column, dtype=pl.String if name in TEXTS else pl.Float64)
                for name, column in self._values.items()
            }
        )
        return to_long(frame, source=self._origin(path))

    def _origin(self, path: Path) -> Origin:
        files, rows = pl.Series(self._files), pl.Series(self._rows)
        return Origin(path, files, rows, self._fields, FormatError)


def _number(value: object) -> float | None:
    if isinstance(value, str):
        if not value.strip():
            return None
        metric = _METRIC.match(value)
        return float(metric[1] if metric else value)
    if isinstance(value, bool | int | float):
        return float(value)
    raise TypeError


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # A lone surrogate, which JSON can carry, is no text in UTF-8.
    return text if text.isascii() else text.encode(errors="replace").decode()
