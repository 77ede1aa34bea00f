"""The account of a student that lies in its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fusionfactory.errors import DistillError
from fusionfactory.jsonl import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RECORD", "BaseRecord", "DataRecord", "Files", "StudentRecord"]

RECORD = "student.json"
"""Name of the file in a student's folder, written last."""

_MISSING = "this is no finished student; `fusionfactory distill train` makes one"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BaseRecord(_Part):
    """The model that was trained.

    Attributes:
        path: As it was given: a file, a folder, or a name on the hub.
        name: For people.
        sha256: Of the GGUF file, or over the weights of the folder; None for a name on the hub.
        parameters: Of the model.
    """

    path: str
    name: str
    sha256: str | None
    parameters: int = Field(ge=1)


class DataRecord(_Part):
    """What was learned.

    Attributes:
        fingerprint: Of the selection.
        criterion: By which it was chosen.
        examples: Trained on; pairs under `dpo`.
        validation: Held out for the validation loss.
        too_long: Left out for their length.
        sources: How many examples, or chosen answers, come from which arm.
        tasks: How many belong to which task.
        queries: Ids of the queries trained on, by the adapter that it began from too.
    """

    fingerprint: str
    criterion: str
    examples: int = Field(ge=1)
    validation: int = Field(ge=0)
    too_long: int = Field(ge=0)
    sources: dict[str, int]
    tasks: dict[str, int]
    queries: tuple[str, ...] = ()


class Files(_Part):
    """What lies in the folder, relative to it.

    Attributes:
        adapter: Folder of the adapter, for PEFT.
        gguf: The whole student for llama.cpp; None where the base is no GGUF file.
        merged: Folder of the whole student for `transformers`; None where none was asked for.
    """

    adapter: str
    gguf: str | None = None
    merged: str | None = None


class StudentRecord(_Part):
    """Everything that a report or a later run wants to know of a student.

    Attributes:
        version: Of this package.
        base: The model that was trained.
        data: What was learned.
        method: `sft` or `dpo`.
        settings: Of the training.
        start: Adapter that training began from; None for a new one.
        steps: Done.
        epochs: Seen.
        tokens: Of all sequences that were seen, without padding.
        trainable: Parameters of the adapter.
        losses: Points of the curve: the step, and the mean loss of the steps up to it.
        validation: Likewise on the held-out queries, step 0 before training.
        best_step: Of the adapter that was kept, where it is not the last.
        seconds: Spent on training, over all runs that it took.
        device: `cpu`, or the name of the GPU.
        dtype: Of the base's weights.
        packages: Names to versions.
        files: What lies in the folder.
    """

    kind: Literal["student"] = "student"
    format: Literal[1] = 1
    version: str
    base: BaseRecord
    data: DataRecord
    method: Literal["sft", "dpo"]
    settings: dict[str, Any]
    start: str | None = None
    steps: int
    epochs: float
    tokens: int
    trainable: int
    losses: list[tuple[int, float]]
    validation: list[tuple[int, float]]
    best_step: int | None = None
    seconds: float
    device: str
    dtype: str
    packages: dict[str, str]
    files: Files

    def save(self, folder: Path) -> None:
        """Writes the record; there whole or not at all."""
        write_json(self.model_dump(mode="json"), folder / RECORD)

    @classmethod
    def load(cls, folder: Path) -> StudentRecord:
        """Reads what `save` wrote.

        Raises:
            DistillError: The folder holds no finished student, or its record is damaged.
        """
        return read_json(folder / RECORD, cls, DistillError, _MISSING)
