"""What a training leaves behind so that it can be taken up again, and whose it is."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from fusionfactory.distill.training.record import RECORD
from fusionfactory.distill.training.student import ADAPTER, BASE, GGUF, MERGED
from fusionfactory.errors import DistillError
from fusionfactory.jsonl import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Checkpoint", "Run"]

_RUN = "run.json"
_LOCK = ".lock"
_MARK = "whole.json"
_NAME = re.compile(r"checkpoint-(\d+)")
_OURS = ("checkpoints", ADAPTER, MERGED, GGUF, BASE, RECORD, _RUN)
_ANEW = "take another folder, or begin anew by --restart, which throws away what is there"


class _Identity(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = "distill-run"
    facts: dict[str, Any]


class _Mark(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """A state from which training goes on.

    Attributes:
        path: Its folder.
        step: Done by then.
        seconds: Spent by then.
    """

    path: Path
    step: int
    seconds: float


@dataclass(frozen=True)
class Run:
    """The folder of a student while it is trained.

    Attributes:
        folder: Of the student.
        facts: What decides the result: settings, base and data, as JSON values by name.
    """

    folder: Path
    facts: Mapping[str, Any]

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    def check(self) -> None:
        """Finds out whether the folder is free, or of an earlier run of the same training.

        Raises:
            DistillError: It belongs to a training with other settings, base or data; says which.
        """
        path = self.folder / _RUN
        if path.exists():
            self._compare(read_json(path, _Identity, DistillError, _ANEW).facts)
        elif there := [name for name in _OURS if (self.folder / name).exists()]:
            msg = f"the folder holds {', '.join(there)} of an unknown training: {_ANEW}"
            raise DistillError(msg, file=self.folder)

    def spare(self, *sources: Path | str) -> None:
        """Refuses to begin anew where that throws away what the training begins from.

        Raises:
            DistillError: One of the sources is among what the folder holds; says which.
        """
        ours = {(self.folder / name).resolve() for name in _OURS}
        for source in sources:
            where = Path(source).resolve()
            if where.exists() and not ours.isdisjoint((where, *where.parents)):
                msg = f"to begin anew throws away {source}, from which the training begins: "
                msg += "take another folder"
                raise DistillError(msg, file=self.folder)

    @contextmanager
    def claimed(self, *, restart: bool = False) -> Iterator[None]:
        """Makes the folder this training's, emptied first for a restart, and keeps others out.

        The lock of a killed run is gone with it.

        Raises:
            DistillError: Another training is at work in the folder.
        """
        import fcntl

        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / _LOCK
        with path.open("w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                msg = "another training is at work in this folder: wait for it, or take another one"
                raise DistillError(msg, file=self.folder) from None
            if restart:
                self._clear()
            run = self.folder / _RUN
            if not run.exists():
                write_json(_Identity(facts=dict(self.facts)).model_dump(), run)
            yield
            path.unlink()

    def last(self) -> Checkpoint | None:
        """The newest checkpoint that was written to its end; parts of others are removed."""
        found: list[Checkpoint] = []
        for path in self.checkpoints.glob("checkpoint-*"):
            if not _NAME.fullmatch(path.name):
                continue
            if not (path / _MARK).exists():
                shutil.rmtree(path)
                continue
            mark = read_json(path / _MARK, _Mark, DistillError, _ANEW)
            found.append(Checkpoint(path, mark.step, mark.seconds))
        return max(found, key=lambda checkpoint: checkpoint.step, default=None)

    def mark(self, step: int, seconds: float) -> None:
        """Says that the checkpoint of a step is whole; nothing is written into it afterwards."""
        where = self.checkpoints / f"checkpoint-{step}" / _MARK
        write_json(_Mark(step=step, seconds=seconds).model_dump(), where)

    def finish(self) -> None:
        """Removes the checkpoints of a finished student."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _compare(self, earlier: Mapping[str, Any]) -> None:
        names = [*self.facts, *(name for name in earlier if name not in self.facts)]
        other = [
            f"{name} {earlier.get(name)!r}, now {self.facts.get(name)!r}"
            for name in names
            if earlier.get(name) != self.facts.get(name)
        ]
        if other:
            msg = f"the folder belongs to another training ({'; '.join(other)}): {_ANEW}"
            raise DistillError(msg, file=self.folder)

    def _clear(self) -> None:
        for name in _OURS:
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
