"""A trained adapter as files that others can serve."""

from __future__ import annotations

import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.distill.models.base import is_gguf
from fusionfactory.distill.training.record import Files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ADAPTER", "BASE", "GGUF", "MERGED", "copy_adapter", "save_adapter", "write_student"]

ADAPTER = "adapter"
"""Folder of the adapter in a student's folder."""
MERGED = "merged"
"""Folder of the whole student for `transformers`."""
GGUF = "student.gguf"
"""The whole student for llama.cpp."""
BASE = "base.gguf"
"""The base as it was, stored as the student is; see `distill.untrained`."""


def save_adapter(model: Any, folder: Path) -> None:  # noqa: ANN401  a PeftModel
    """Writes the adapter as PEFT does; there whole or not at all."""
    with _at_once(folder) as made:
        model.save_pretrained(made, selected_adapters=["default"])
        # Saved as a draft's name would be kept in the card, which says nothing.
        (made / "README.md").unlink(missing_ok=True)


def copy_adapter(saved: Path, folder: Path) -> None:
    """Copies what `save_adapter` wrote; there whole or not at all."""
    with _at_once(folder) as made:
        shutil.copytree(saved, made)


def write_student(
    base: Path | str,
    folder: Path,
    load: Callable[..., tuple[Any, Any]],
    *,
    merged: bool,
    kind: str,
) -> Files:
    """Adds the adapter to the base's full weights and writes the whole model.

    Args:
        base: What was trained.
        folder: Of the student, with its adapter.
        load: As `load_base`.
        merged: Whether to write a folder for `transformers` where a GGUF file is written too.
        kind: How a GGUF file stores the matrices.

    Returns:
        What the folder holds now.
    """
    from peft import PeftModel

    model, tokenizer = load(base)
    student = PeftModel.from_pretrained(model, folder / ADAPTER).merge_and_unload()
    gguf = is_gguf(base)
    if gguf:
        from fusionfactory.distill.models.gguf_file import write_gguf

        write_gguf(Path(base), student, folder / GGUF, kind=kind)
    if merged or not gguf:
        with _at_once(folder / MERGED) as made:
            student.save_pretrained(made)
            tokenizer.save_pretrained(made)
    return Files(
        adapter=ADAPTER,
        gguf=GGUF if gguf else None,
        merged=MERGED if merged or not gguf else None,
    )


@contextmanager
def _at_once(folder: Path) -> Iterator[Path]:
    made = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    try:
        yield made
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
