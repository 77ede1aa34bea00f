"""Segments of the journal: files of one JSON object a line, written by one process each.

A segment is locked for as long as its writer may add to it. The lock ends with the process, so a
reader that gets it knows that nothing more comes: not after a SIGKILL either.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["SUFFIX", "Segment", "is_finished", "segments"]

SUFFIX = ".jsonl"
_NEW = ".new"


@dataclass(slots=True)
class Segment:
    """A file that this process adds lines to.

    Attributes:
        path: Of the file.
        size: Bytes of the whole lines in it.
        file: Its descriptor.
        trouble: What the disk said when it took a part of what it was given.
    """

    path: Path
    size: int
    file: int
    trouble: str | None = None

    @classmethod
    def create(cls, folder: Path, worker: int) -> Self:
        """A new one, named so that segments sort by age and no other gateway has one of that name.

        Raises:
            OSError: The folder cannot be written.
        """
        # Containers on several hosts have the same process ids, and the store knows names alone.
        name = f"{time.time_ns():020d}-{worker}-{os.getpid()}-{secrets.token_hex(4)}"
        new = folder / f"{name}{_NEW}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        file = os.open(new, flags, 0o600)
        try:
            # Readers see the name only once it is locked.
            fcntl.flock(file, fcntl.LOCK_EX)
            path = new.rename(folder / f"{name}{SUFFIX}")
        except BaseException:
            os.close(file)
            new.unlink(missing_ok=True)
            raise
        return cls(path, 0, file)

    @property
    def is_gone(self) -> bool:
        """Whether somebody deleted the file: what is written into it then, nobody reads."""
        return os.fstat(self.file).st_nlink == 0

    def append(self, lines: list[bytes]) -> int:
        """Writes lines, each with its line feed, by one system call where the disk takes them all.

        Returns:
            How many are whole in the file: all, or fewer and then the next call fails.

        Raises:
            OSError: None could be written.
        """
        batch = memoryview(b"".join(lines))
        done = os.write(self.file, batch)
        if done < len(batch):
            done += self._rest(batch[done:])
        if done == len(batch):
            self.size += done
            return len(lines)
        whole = 0
        for line in lines:
            if done < len(line):
                break
            done -= len(line)
            self.size += len(line)
            whole += 1
        # A reader may have had the whole lines already; the torn one nobody has.
        os.ftruncate(self.file, self.size)
        return whole

    def _rest(self, batch: memoryview) -> int:
        done = 0
        while done < len(batch):
            try:
                done += os.write(self.file, batch[done:])
            except OSError as error:
                self.trouble = error.strerror
                break
        return done

    def close(self) -> None:
        """Ends the segment; an empty one leaves no file."""
        if not self.size:
            self.path.unlink(missing_ok=True)
        os.close(self.file)


def segments(folder: Path) -> Iterator[Path]:
    """Every segment of the folder, the oldest first."""
    yield from sorted(folder.glob(f"*{SUFFIX}"))


def is_finished(file: int) -> bool:
    """Whether nobody will add to a segment that is open for reading."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True
