"""A selection to a folder in the format of a trainer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.distill.exporting.folder import Manifest, write_folder
from fusionfactory.distill.exporting.format import DPO, SFT, Job, data_file
from fusionfactory.distill.exporting.settings import ExportSettings
from fusionfactory.distill.exporting.sides import sides
from fusionfactory.errors import DistillError
from fusionfactory.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fusionfactory.distill.exporting.format import Row, TrainingFormat
    from fusionfactory.distill.exporting.sides import Side
    from fusionfactory.distill.selection import Selection

__all__ = ["FORMATS", "Exported", "export"]

FORMATS = Registry(
    "training_format",
    {
        "llama-factory": "fusionfactory.distill.exporting.llama_factory:FORMAT",
        "trl-prompt-completion": "fusionfactory.distill.exporting.trl:PROMPT_COMPLETION",
        "trl-messages": "fusionfactory.distill.exporting.trl:MESSAGES",
        "trl-preference": "fusionfactory.distill.exporting.trl:PREFERENCE",
        "openai": "fusionfactory.distill.exporting.openai:FORMAT",
        "alpaca": "fusionfactory.distill.exporting.alpaca:FORMAT",
        "sharegpt": "fusionfactory.distill.exporting.sharegpt:FORMAT",
    },
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        manifest: As it stands in the folder.
        notes: What the user must know of it.
        usage: Commands that train on the folder, run in it.
    """

    manifest: Manifest
    notes: tuple[str, ...]
    usage: tuple[str, ...]


def export(
    selection: Selection,
    format: str,
    out: Path,
    settings: ExportSettings | None = None,
    *,
    force: bool = False,
) -> Exported:
    """Writes a selection in the format of a trainer.

    Examples go to `sft/train.jsonl`, pairs to `dpo/train.jsonl`, those of held-out queries to
    `validation.jsonl` beside them. All rows are made before the first file is written.

    Args:
        selection: What to write.
        format: A name of `FORMATS`.
        out: The folder.
        settings: None for the defaults.
        force: Replace an export that is there.

    Raises:
        UnknownNameError: No format of that name.
        DistillError: The selection holds nothing that the format carries, an example has a shape
            that it cannot carry (named), a setting does not fit, or files are there already.
    """
    settings = settings or ExportSettings()
    how: TrainingFormat = FORMATS.load(format)
    notes = _left_out(selection, format, how)
    by_side = sides(selection, settings.eval_share, settings.seed)
    job = Job(selection, by_side, _rows(how, by_side), settings)
    texts = {name: _jsonl(rows) for name, rows in job.rows.items()}
    manifest = Manifest(
        training_format=format,
        selection=selection.fingerprint(),
        criterion=selection.criterion,
        settings=settings.model_dump(),
        rows={name: len(rows) for name, rows in job.rows.items()},
    )
    written = write_folder({**texts, **how.files(job)}, manifest, out, force=force)
    return Exported(written, (*notes, *how.notes(job)), tuple(how.usage(job)))


def _left_out(selection: Selection, format: str, how: TrainingFormat) -> list[str]:
    """Says what the format does not carry; an error if that is all there is."""
    kinds = (("examples", selection.examples, how.examples), ("pairs", selection.pairs, how.pairs))
    if not any(items and carried for _, items, carried in kinds):
        wanted = " or ".join(kind for kind, _, carried in kinds if carried)
        msg = (
            f"{format} carries {wanted}, and the selection holds {len(selection.examples)} "
            f"examples and {len(selection.pairs)} pairs: choose again, or take another format"
        )
        raise DistillError(msg, field="format")
    return [
        f"{len(items)} {kind} are left out, for {format} carries none; another format does"
        for kind, items, carried in kinds
        if items and not carried
    ]


def _rows(how: TrainingFormat, by_side: Mapping[str, Side]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for name, side in by_side.items():
        if how.examples and side.examples:
            rows[data_file(SFT, name)] = how.examples(side.examples)
        if how.pairs and side.pairs:
            rows[data_file(DPO, name)] = how.pairs(side.pairs)
    return rows


def _jsonl(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
