"""The model that a student was made of, as it was, stored as the student is.

How a GGUF file stores weights changes what llama.cpp answers, for with quantised weights it rounds
what it computes with. Held against its base's quantised file, a student would get the credit or the
blame for that, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.distill.models.base import file_sha256, load_base
from fusionfactory.distill.models.gguf_file import stored_kind, write_gguf
from fusionfactory.distill.training.record import StudentRecord
from fusionfactory.distill.training.student import BASE
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["write_untrained"]


def write_untrained(student: Path, *, load: Callable[..., tuple[Any, Any]] = load_base) -> Path:
    """Writes the base beside the student, in the kind of numbers of the student's own file.

    Args:
        student: Folder of a finished student of a GGUF file.
        load: Loads the base.

    Returns:
        The file.

    Raises:
        DistillError: The student is none of a GGUF file, or its base is not there any more.
        MissingExtraError: The extra `distill` is not installed.
    """
    record = StudentRecord.load(student)
    if record.files.gguf is None:
        msg = "the student has no GGUF file, so its base is the model to compare with as it is"
        raise DistillError(msg, file=student)
    base = Path(record.base.path)
    kind = stored_kind(student / record.files.gguf)
    if not base.is_file() or file_sha256(base) != record.base.sha256:
        msg = f"the base {record.base.path} is not there any more, or is another file now"
        raise DistillError(msg, file=student)
    model, _ = load(base)
    write_gguf(base, model, student / BASE, kind=kind)
    return student / BASE
