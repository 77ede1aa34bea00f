"""LargeTable: an outcome table that stays on disk and is read block by block."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.errors import TableError
from fusionfactory.fingerprint import content_digest
from fusionfactory.large.digests import draws
from fusionfactory.large.gathering import gather, gathered_folder
from fusionfactory.large.manifest import Manifest
from fusionfactory.large.parts import Part, read_queries
from fusionfactory.large.rows import concat, rechunk
from fusionfactory.long_form import CELLS, QUERY_COLUMNS
from fusionfactory.outcome_sums import OutcomeSums
from fusionfactory.pricing import with_nominal_costs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import polars as pl

    from fusionfactory.large.gathering import Progress
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, BoolArray, FloatArray

__all__ = ["BLOCK_BYTES", "LargeSplit", "LargeTable"]

BLOCK_BYTES = 32 * 2**20
"""What a block of the default size takes: numbers of all cells and texts of the queries."""
_MOST_QUERIES = 65_536
_DIGESTED = 8_192
"""Queries that go into one digest of a fingerprint."""


@dataclass(frozen=True)
class LargeSplit:
    """Three tables without a query, or a near-duplicate of one, in common."""

    train: LargeTable
    validation: LargeTable
    test: LargeTable


@dataclass(frozen=True)
class _Side:
    """The queries whose draw under a seed is in [low, high)."""

    seed: int
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class LargeTable:
    """n queries by m arms, on disk: a gathered folder, or a view of one.

    Nothing is held but the names of tasks and arms. Every method that reads goes through the
    folder part by part, so its memory is that of one part (about `gathering.PART_BYTES` of texts
    and numbers, or the largest group of near-duplicates where that is more) and one block,
    however many outcomes there are. A view (`split`, `select_arms`, `judged`) copies nothing.

    Attributes:
        folder: A gathered folder.
        manifest: What it says of itself.
        arms: m arms, the order of the columns of every block.
        cost_basis: `measured`, `nominal` or `missing`.
    """

    folder: Path
    manifest: Manifest
    arms: tuple[Arm, ...]
    cost_basis: str
    _sides: tuple[_Side, ...] = ()
    _judged: bool = False

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Opens a folder that `gather` made.

        Raises:
            TableError: It is none.
        """
        manifest = Manifest.read(Path(folder))
        return cls(Path(folder), manifest, manifest.arms, manifest.cost_basis)

    @classmethod
    def scan(
        cls,
        source: str | Path,
        *,
        scratch: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Opens Parquet in the FusionBench column layout, however large.

        A gathered folder is opened as it is. Of anything else the rows of a query may stand
        anywhere, so they are gathered first (see `gathering.gather`), once: another scan of the
        same files finds them.

        Args:
            source: A file, a folder (with all in it), a glob, or a URL of either for fsspec.
            scratch: Where to gather; in the cache folder of this package if None.
            progress: As for `gather`.

        Raises:
            TableError: There is no such file, or one is malformed.
        """
        return cls.open(gathered_folder(source) or gather(source, scratch, progress=progress))

    @classmethod
    def gather(
        cls, source: str | Path, folder: str | Path, *, progress: Progress | None = None
    ) -> Self:
        """Gathers into a folder and opens it: see `gathering.gather`."""
        return cls.open(gather(source, folder, progress=progress))

    # Describing

    def __len__(self) -> int:
        return self.n_queries

    @cached_property
    def n_queries(self) -> int:
        """Number of queries; of a split it is counted once, from the digests."""
        if not self._sides:
            return sum(part.queries for part in self.manifest.parts)
        return sum(int(mask.sum()) for _, mask in self._masks())

    @property
    def n_outcomes(self) -> int:
        """Outcomes in the whole folder, whatever the view."""
        return sum(part.outcomes for part in self.manifest.parts)

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Names of the arms in column order."""
        return tuple(arm.name for arm in self.arms)

    @property
    def prices(self) -> FloatArray:
        """(m, 2) USD per million input and output tokens, NaN where unknown."""
        pairs = [(arm.input_price, arm.output_price) for arm in self.arms]
        return np.asarray(pairs, dtype=np.float64)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the folder's tasks, sorted; an absent name is the empty string."""
        return tuple(sorted({name for part in self.manifest.parts for name in part.tasks}))

    @property
    def has_costs(self) -> bool:
        """Whether any cell carries a cost."""
        return self.cost_basis == "nominal" or self._known("cost_usd")

    @property
    def has_judge(self) -> bool:
        """Whether any cell carries a judge score."""
        return self._known("judge")

    @property
    def has_logprobs(self) -> bool:
        """Whether any cell carries a log-probability."""
        return self._known("logprob")

    @property
    def has_responses(self) -> bool:
        """Whether any cell carries a text."""
        return self._known("response")

    def _known(self, column: str) -> bool:
        return any(column in part.known for part in self.manifest.parts)

    @cached_property
    def sums(self) -> OutcomeSums:
        """Means, coverage and ranges of arms and tasks, from one pass over the cells."""
        return OutcomeSums(self.arms).extend(self.blocks(("quality", "cost_usd")))

    @cached_property
    def block_queries(self) -> int:
        """Queries of a block of `BLOCK_BYTES`."""
        parts = self.manifest.parts
        text = sum(part.text_bytes for part in parts) / sum(part.queries for part in parts)
        size = BLOCK_BYTES / (text + 8 * len(CELLS) * len(self.arms))
        return int(np.clip(size, 256, _MOST_QUERIES))

    # Reading

    def blocks(
        self,
        columns: Collection[str] | None = None,
        *,
        responses: bool = False,
        block_queries: int | None = None,
    ) -> Iterator[OutcomeTable]:
        """Yields the table's queries in blocks, each query whole, always in the same order.

        Args:
            columns: What to read of `CELLS` and `QUERY_COLUMNS`; all by default. What is left out
                is NaN or null, takes no memory and is not read. `query_id` and `task` always come.
            responses: Whether to read the responses' texts.
            block_queries: The most queries of a block; `BLOCK_BYTES` full by default.

        Raises:
            TableError: A column is unknown, or a file is damaged.
        """
        for part in self._parts(columns, responses=responses):
            yield from self._tables(part, block_queries or self.block_queries)

    def _parts(self, columns: Collection[str] | None, *, responses: bool) -> Iterator[Part]:
        wanted = {*CELLS, *QUERY_COLUMNS} if columns is None else set(columns)
        unknown = sorted(wanted - {*CELLS, *QUERY_COLUMNS})
        if unknown:
            msg = f"unknown column {unknown[0]!r}; there are {', '.join((*CELLS, *QUERY_COLUMNS))}"
            raise TableError(msg, field="columns")
        if self._judged and "quality" in wanted:
            wanted.add("judge")
        if self._computes_costs and "cost_usd" in wanted:
            wanted |= {"query", "quality"}
        for facts in self.manifest.parts:
            part = Part.read(
                self.folder, facts.number, wanted, responses=responses and self.has_responses
            )
            mask = self._mask(part.queries)
            if mask.any():
                yield part.keep(mask)

    def _tables(self, part: Part, size: int) -> Iterator[OutcomeTable]:
        columns = np.full(len(self.manifest.arms), -1)
        names = [arm.name for arm in self.manifest.arms]
        columns[[names.index(name) for name in self.arm_names]] = np.arange(len(self.arms))
        n = part.queries.height
        edges = np.linspace(0, n, -(-n // size) + 1).astype(int).tolist()
        for start, stop in pairwise(edges):
            table = part.table(start, stop, self.arms, columns, self.cost_basis)
            if self._judged and "quality" in part.cells:
                table = replace(table, quality=table.judge)
            if self._computes_costs and "cost_usd" in part.cells:
                table = with_nominal_costs(table)
            yield table

    @property
    def _computes_costs(self) -> bool:
        """Whether costs are not in the files, but nominal ones stand in."""
        return self.cost_basis == "nominal" and not self._known("cost_usd")

    def _mask(self, queries: pl.DataFrame) -> BoolArray:
        """(n,) which queries are on this view's side."""
        groups = queries["group"].to_numpy()
        mask = np.ones(len(groups), dtype=np.bool_)
        for side in self._sides:
            drawn = draws(groups, side.seed)
            mask &= (drawn >= side.low) & (drawn < side.high)
        return mask

    def _masks(self) -> Iterator[tuple[pl.DataFrame, BoolArray]]:
        for part in self.manifest.parts:
            queries = read_queries(self.folder, part.number, ["group", "key", "place"])
            yield queries, self._mask(queries)

    def collect(self) -> OutcomeTable:
        """The whole table in memory, with responses, in the order of its source's rows."""
        tables: list[OutcomeTable] = []
        places = []
        for part in self._parts(None, responses=True):
            tables.extend(self._tables(part, part.queries.height))
            places.append(part.queries["place"].to_numpy())
        return concat(tables).rows(np.argsort(np.concatenate(places), kind="stable"))

    def sample(
        self, n: int, seed: int = 0, *, columns: Collection[str] | None = None
    ) -> OutcomeTable:
        """Some queries in memory, each as likely as another, in the order of `blocks`.

        Which ones follows from the queries' ids and texts and the seed alone, so the files may be
        cut and ordered anyhow.

        Args:
            n: How many; all where the table has fewer.
            seed: Of the draw.
            columns: As for `blocks`.

        Raises:
            TableError: `n` is not positive.
        """
        if n < 1:
            msg = f"a sample needs at least one query, got {n}"
            raise TableError(msg, field="n")
        drawn = [_ticket(queries, seed)[mask] for queries, mask in self._masks()]
        tickets = np.concatenate(drawn)
        last = np.partition(tickets, n - 1)[n - 1] if n < len(tickets) else 1.0
        tables: list[OutcomeTable] = []
        for part in self._parts(columns, responses=False):
            chosen = _ticket(part.queries, seed) <= last
            if chosen.any():
                kept = part.keep(chosen)
                tables.extend(self._tables(kept, kept.queries.height))
        return concat(tables)

    # Views

    def select_arms(self, names: Sequence[str]) -> Self:
        """The table of these arms, in this order.

        Raises:
            TableError: An arm is not in the table.
        """
        unknown = [name for name in names if name not in self.arm_names]
        if unknown:
            msg = f"unknown arm {unknown[0]!r}; the table has {', '.join(self.arm_names)}"
            raise TableError(msg, field="arms")
        return replace(self, arms=tuple(self.arms[self.arm_names.index(n)] for n in names))

    def judged(self) -> Self:
        """The same table with the judge's scores in the place of quality.

        Raises:
            TableError: The table carries no judge scores.
        """
        if not self.has_judge:
            msg = "the table has no judge scores"
            raise TableError(msg, field="llm_judge")
        return replace(self, _judged=True)

    def with_usable_costs(self) -> Self:
        """The table, with nominal costs where it has none: see `pricing.with_nominal_costs`."""
        if self.has_costs or np.isnan(self.prices).any():
            return self
        return replace(self, cost_basis="nominal")

    def split(self, *, test: float = 0.3, validation: float = 0.0, seed: int = 0) -> LargeSplit:
        """Splits by query at random, near-duplicates on one side (see `digests.group_digests`).

        A query's side follows from its text and the seed alone: it stays there when the table
        grows, or is read in another order. Shares are met in expectation.

        Args:
            test: Share of the queries to test on.
            validation: Share of the queries to choose on.
            seed: Of the draw.

        Returns:
            Where `test` or `validation` is 0, that part is the train part.

        Raises:
            TableError: A share is not in [0, 1) or leaves its side empty.
        """
        if not (0 <= test < 1 and 0 <= validation < 1 and test + validation < 1):
            msg = f"test={test} and validation={validation} must be shares that leave a train side"
            raise TableError(msg)
        # A split of a split draws anew, or the same seed would find all queries on one side.
        drawn = seed + len(self._sides) * 2**32
        edges = ((test + validation, 1.0), (test, test + validation), (0.0, test))
        train, held, tested = (
            replace(self, _sides=(*self._sides, _Side(drawn, low, high))) if high > low else None
            for low, high in edges
        )
        assert train is not None  # noqa: S101  checked above
        if any(side is not None and not len(side) for side in (train, held, tested)):
            msg = f"{len(self)} queries are too few for test={test}, validation={validation}"
            raise TableError(msg)
        return LargeSplit(train, held or train, tested or train)

    # Content

    def fingerprint(self) -> str:
        """SHA-256 of the content, however it is cut into files and ordered in them.

        Up to 8,192 queries it is the fingerprint of the `OutcomeTable`; beyond, that of the
        fingerprints of as many queries each, in the order of `blocks`.
        """
        named = [name for name in CELLS if name != "logprob" or self.has_logprobs]
        found = [
            content_digest(
                table.queries,
                table.arms,
                {name: getattr(table, name) for name in named},
                table.responses,
            )
            for table in rechunk(self.blocks(responses=True, block_queries=_DIGESTED), _DIGESTED)
        ]
        return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def _ticket(queries: pl.DataFrame, seed: int) -> FloatArray:
    """(n,) draws of the queries themselves: near-duplicates have one each."""
    keys = queries["group"].to_numpy() ^ queries["key"].to_numpy()
    return draws(keys, seed + 2**16)
