"""The folder of an export: what may be replaced in it, and the account of what was written."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import DistillError
from fusionfactory.jsonl import read_json, write_json
from fusionfactory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MANIFEST", "Manifest", "write_folder"]

MANIFEST = "export.json"
"""Name of the file that says what an export holds and what it was made from."""


class Manifest(BaseModel):
    """What a folder holds.

    Attributes:
        kind: Tells the file from others.
        version: Of this package.
        training_format: Name of the format.
        selection: Fingerprint of what was exported.
        criterion: By which its examples were chosen.
        settings: Of the export.
        rows: Number of rows by name of the file.
        files: SHA-256 by name of the file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["export"] = "export"
    version: str = __version__
    training_format: str
    selection: str
    criterion: str
    settings: dict[str, Any]
    rows: dict[str, int]
    files: dict[str, str] = {}


def write_folder(
    files: Mapping[str, str], manifest: Manifest, out: Path, *, force: bool
) -> Manifest:
    """Writes the files, each whole or not at all, and the manifest last.

    With `force`, files of an earlier export that are not written again are removed: a trainer that
    reads the whole folder must not find them. What else is there stays.

    Returns:
        The manifest with the sums of the files.

    Raises:
        DistillError: A file is there already and `force` is not given, or the folder's manifest
            is damaged.
    """
    there = [name for name in (*files, MANIFEST) if (out / name).exists()]
    if there and not force:
        msg = "is there already: --force replaces an export"
        raise DistillError(msg, file=out / there[0])
    _remove_stale(out, set(files))
    for name, text in files.items():
        write_atomically(out / name, lambda to, text=text: to.write_text(text, encoding="utf-8"))
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    complete = manifest.model_copy(update={"files": sums})
    write_json(complete.model_dump(), out / MANIFEST)
    return complete


def _remove_stale(out: Path, kept: set[str]) -> None:
    if not (out / MANIFEST).exists():
        return
    old = read_json(out / MANIFEST, Manifest, DistillError, "export again")
    (out / MANIFEST).unlink()
    inside = out.resolve()
    for name in set(old.files) - kept:
        path = (out / name).resolve()
        if path.is_relative_to(inside):
            path.unlink(missing_ok=True)
