"""What a training format is: rows for examples, rows for pairs, and files beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fusionfactory.distill.exporting.settings import ExportSettings
    from fusionfactory.distill.exporting.sides import Side
    from fusionfactory.distill.selection import Example, Pair, Selection

__all__ = ["DPO", "SFT", "Job", "Row", "TrainingFormat", "data_file"]

Row: TypeAlias = dict[str, Any]

SFT = "sft"
"""Folder of the examples, which supervised fine-tuning learns from."""
DPO = "dpo"
"""Folder of the pairs, which preference optimisation learns from."""


def data_file(folder: str, side: str) -> str:
    """Name of a file of rows; a folder of such files is a data set of its own for `datasets`."""
    return f"{folder}/{side}.jsonl"


@dataclass(frozen=True, slots=True)
class Job:
    """What the files beside the rows are made from.

    Attributes:
        selection: What is exported.
        sides: It by side.
        rows: Rows by name of their file.
        settings: Of the export.
    """

    selection: Selection
    sides: Mapping[str, Side]
    rows: Mapping[str, Sequence[Row]]
    settings: ExportSettings


def _no_files(_job: Job) -> dict[str, str]:
    return {}


def _no_notes(_job: Job) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class TrainingFormat:
    """One format of training data.

    The rows of one file are made together, for readers take the types of its columns from the
    first rows.

    Attributes:
        examples: Rows of one file from its examples; None if the format carries none.
        pairs: Likewise from pairs.
        files: Texts of further files by name.
        notes: What the user must know of an export.
        usage: Commands that train on the folder, as lines.
    """

    examples: Callable[[Sequence[Example]], list[Row]] | None = None
    pairs: Callable[[Sequence[Pair]], list[Row]] | None = None
    files: Callable[[Job], Mapping[str, str]] = _no_files
    notes: Callable[[Job], list[str]] = _no_notes
    usage: Callable[[Job], list[str]] = _no_notes
