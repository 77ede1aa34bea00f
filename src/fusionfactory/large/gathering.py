"""Gathering: Parquet files whose rows stand anyhow become parts that hold whole queries.

Two passes, each in bounded memory. The first puts rows into bins on disk by a digest of their text
(`scatter`), the second checks every bin as one table and writes it as a part (`parts`). A run that
was stopped goes on where it was; the folder counts as gathered once its manifest is there.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from fusionfactory import layout
from fusionfactory.atomic import write_atomically
from fusionfactory.cachedir import cache_dir
from fusionfactory.errors import TableError
from fusionfactory.large.binding import bind, reject_shared_ids
from fusionfactory.large.bins import Bins
from fusionfactory.large.manifest import MANIFEST, Manifest, PartFacts
from fusionfactory.large.parts import queries_file
from fusionfactory.large.places import find_files, is_url, key_of, local_copy, without_login
from fusionfactory.large.scatter import ARMS, BASES, NAMES, origin_of, row_bytes, row_count, scatter
from fusionfactory.long_form import ARM_COLUMNS, arms_of, first_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fusionfactory.large.places import SourceFile
    from fusionfactory.types import Arm

__all__ = ["PART_BYTES", "Progress", "gather", "gathered_folder"]

PART_BYTES = 64 * 2**20
"""Rows of about so many bytes make a part."""
_MOST_PARTS = 4096
_PIECE_PARTS = 2
"""Parts that are read at a time: few large pieces make few small frames in the bins."""
_NAMES_AT_ONCE = 1_000_000
_WORK = "unfinished"
_PLAN = "plan.json"


Progress: TypeAlias = "Callable[[int, int, str], None]"
"""Called with steps done, steps in all, and what comes next."""


def gathered_folder(source: str | Path) -> Path | None:
    """The source, where it is a gathered folder already."""
    return Path(source) if (Path(source) / MANIFEST).is_file() else None


def gather(
    source: str | Path,
    folder: str | Path | None = None,
    *,
    part_bytes: int = PART_BYTES,
    progress: Progress | None = None,
) -> Path:
    """Gathers the rows of every query, checked, in a folder on this machine.

    It holds rows of twice `part_bytes` at a time, several copies of them, and some tens of bytes
    per query. While it works, the rows are on disk a second time, compressed lightly, beside the
    source and the parts.

    Args:
        source: See `LargeTable.scan`.
        folder: Where to; a folder of the same source that is complete is left as it is, one that
            is not is completed, and one of files that have changed since is begun anew where it
            was not complete. In the cache folder of this package if None.
        part_bytes: Size of a part in memory.
        progress: Called with what is done.

    Returns:
        The folder.

    Raises:
        TableError: A file is malformed, or the folder holds another table.
    """
    files = find_files(source)
    key = key_of(files)
    target = cache_dir() / "gathered" / key if folder is None else Path(folder)
    if not is_url(source) and target.resolve().is_relative_to(Path(source).resolve()):
        msg = f"stands inside {source}, which it is to be made of: name another folder"
        raise TableError(msg, file=target)
    target.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        if (target / MANIFEST).is_file():
            if Manifest.read(target).key != key:
                msg = f"holds another or an older table than {source}: delete it, or name another"
                raise TableError(msg, file=target)
            return target
        _Gathering(without_login(source), files, target, key, part_bytes, progress).run()
    return target


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other process gathers into the folder."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _Gathering:
    def __init__(
        self,
        source: str,
        files: tuple[SourceFile, ...],
        folder: Path,
        key: str,
        part_bytes: int,
        progress: Progress | None,
    ) -> None:
        self._source, self._files, self._folder, self._key = source, files, folder, key
        self._part_bytes, self._progress = part_bytes, progress
        self._work = folder / _WORK

    def run(self) -> None:
        self._work.mkdir(exist_ok=True)
        parts = self._plan()
        self._steps = len(self._files) + parts
        names = [str(number) for number in range(parts)]
        bins = Bins(self._work, [*names, ARMS, NAMES, BASES])
        self._tell(0, "reading")
        scatter(
            self._files, self._work, bins, parts, _PIECE_PARTS * self._part_bytes,
            lambda done: self._tell(done, "reading"),
        )  # fmt: skip
        arms = _arms(bins, self._source, self._files)
        ambiguous = _ambiguous(bins)
        facts: list[PartFacts] = []
        for number in range(parts):
            self._tell(len(self._files) + number, "gathering")
            found = self._bound(number, bins, arms, ambiguous)
            if found is not None:
                facts.append(found)
        reject_shared_ids(self._folder, facts, self._files)
        basis = _basis(bins, facts)
        Manifest(self._source, self._key, basis, arms, tuple(facts)).write(self._folder)
        shutil.rmtree(self._work)
        self._tell(self._steps, "gathered")

    def _tell(self, done: int, label: str) -> None:
        if self._progress is not None:
            self._progress(done, self._steps, label)

    def _plan(self) -> int:
        """The number of parts, of an earlier run where it is one of this plan."""
        path = self._work / _PLAN
        mine = {"key": self._key, "polars": pl.__version__, "part_bytes": self._part_bytes}
        if path.exists():
            plan = json.loads(path.read_text(encoding="utf-8"))
            parts = int(plan.pop("parts"))
            if plan == mine:
                return parts
            self._start_over()
        largest = max(self._files, key=lambda file: file.size)
        with local_copy(largest, self._work) as copy:
            rows = row_count(copy, largest.name)
            size = rows * row_bytes(copy, largest.name, rows) if rows else 1
        total = size / largest.size * sum(file.size for file in self._files)
        parts = 1
        while parts * self._part_bytes < total and parts < _MOST_PARTS:
            parts *= 2
        text = json.dumps({**mine, "parts": parts})
        write_atomically(path, lambda target: target.write_text(text, encoding="utf-8"))
        return parts

    def _start_over(self) -> None:
        written = (self._folder.glob(f"{kind}-*.parquet") for kind in ("queries", "cells"))
        for path in chain.from_iterable(written):
            path.unlink()
        shutil.rmtree(self._work)
        self._work.mkdir()

    def _bound(
        self, number: int, bins: Bins, arms: tuple[Arm, ...], ambiguous: pl.Series
    ) -> PartFacts | None:
        """The part of a bin; what an earlier run bound is not bound again."""
        note = self._work / f"bound-{number:05}.json"
        if note.exists() and queries_file(self._folder, number).exists():
            return PartFacts.of(json.loads(note.read_text(encoding="utf-8")))
        frames = list(bins.frames(str(number)))
        if not frames:
            return None
        facts = bind(pl.concat(frames), self._folder, number, self._files, arms, ambiguous)
        text = json.dumps(asdict(facts))
        write_atomically(note, lambda path: path.write_text(text, encoding="utf-8"))
        return facts


def _arms(bins: Bins, source: str, files: Sequence[SourceFile]) -> tuple[Arm, ...]:
    frames = list(bins.frames(ARMS))
    if not frames:
        msg = "the table has no rows"
        raise TableError(msg, file=source)
    facts = pl.concat(frames)
    llms = first_known(facts, facts.columns).with_columns(task_name=pl.lit(""), query=pl.lit(""))
    long = layout.to_long(llms, source=origin_of(llms["place"], files))
    return arms_of(first_known(long, ARM_COLUMNS))


def _ambiguous(bins: Bins) -> pl.Series:
    """Digests of the names `task:task_id` that stand in several parts, so for several texts."""
    spread = pl.DataFrame(schema={"name": pl.UInt64, "a": pl.UInt32, "b": pl.UInt32})
    waiting: list[pl.DataFrame] = []
    for frame in bins.frames(NAMES):
        waiting.append(frame.select("name", a="part", b="part"))
        # A name comes once per piece that has it: put together early, they take memory once.
        if sum(rows.height for rows in waiting) > max(spread.height, _NAMES_AT_ONCE):
            spread, waiting = _spread([spread, *waiting]), []
    return _spread([spread, *waiting]).filter(pl.col("a") != pl.col("b"))["name"]


def _spread(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The first and the last part of every name."""
    return pl.concat(frames).group_by("name").agg(pl.col("a").min(), pl.col("b").max())


def _basis(bins: Bins, facts: list[PartFacts]) -> str:
    """What the files declare; where some say `nominal`, the whole is."""
    declared = {frame["basis"][0] for frame in bins.frames(BASES)}
    if len(declared) == 1:
        return str(declared.pop())
    if "nominal" in declared:
        return "nominal"
    return "measured" if any("cost_usd" in part.known for part in facts) else "missing"
