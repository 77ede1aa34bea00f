"""LargeTable: an outcome table that stays on disk and is read block by block."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fusionfactory.errors import TableError
from fusionfactory.large.gathering import gather, gathered_folder
from fusionfactory.large.manifest import Manifest
from fusionfactory.large.rows import concat, fingerprint, with_own_texts
from fusionfactory.large.sides import three_sides, tickets
from fusionfactory.large.view import View
from fusionfactory.long_form import CELLS
from fusionfactory.outcome_sums import OutcomeSums

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fusionfactory.large.gathering import Progress
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, FloatArray

__all__ = ["LargeSplit", "LargeTable"]


@dataclass(frozen=True)
class LargeSplit:
    """Three tables without a query, or a near-duplicate of one, in common."""

    train: LargeTable
    validation: LargeTable
    test: LargeTable


@dataclass(frozen=True, eq=False)
class LargeTable:
    """n queries by m arms, on disk: a gathered folder, or a view of one.

    Nothing is held but the names of tasks and arms. Every method that reads goes through the
    folder part by part, so its memory is that of one part (about `gathering.PART_BYTES` of texts
    and numbers, or the largest group of near-duplicates where that is more) and one block,
    however many outcomes there are. A view (`split`, `select_arms`, `judged`) copies nothing.

    Attributes:
        view: What of the folder it shows.
    """

    view: View

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Opens a folder that `gather` made.

        Raises:
            TableError: It is none.
        """
        manifest = Manifest.read(Path(folder))
        return cls(View(Path(folder), manifest, manifest.arms, manifest.cost_basis))

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
        if not self.view.sides:
            return sum(part.queries for part in self.view.manifest.parts)
        return sum(int(mask.sum()) for _, mask in self.view.digests())

    @property
    def n_outcomes(self) -> int:
        """Rows of outcomes in the whole folder, whatever the view."""
        return sum(part.outcomes for part in self.view.manifest.parts)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The m arms, in the order of the columns of every block."""
        return self.view.arms

    @property
    def cost_basis(self) -> str:
        """`measured`, `nominal` or `missing`."""
        return self.view.cost_basis

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
        return tuple(sorted({name for part in self.view.manifest.parts for name in part.tasks}))

    @property
    def has_costs(self) -> bool:
        """Whether any cell carries a cost."""
        return self.cost_basis == "nominal" or self.view.knows("cost_usd")

    @property
    def has_judge(self) -> bool:
        """Whether any cell carries a judge score."""
        return self.view.knows("judge")

    @property
    def has_logprobs(self) -> bool:
        """Whether any cell carries a log-probability."""
        return self.view.knows("logprob")

    @property
    def has_responses(self) -> bool:
        """Whether any cell carries a text."""
        return self.view.knows("response")

    @cached_property
    def sums(self) -> OutcomeSums:
        """Means, coverage and ranges of arms and tasks, from one pass over the cells."""
        return OutcomeSums(self.arms).extend(self.blocks(("quality", "cost_usd")))

    @property
    def block_queries(self) -> int:
        """The most queries of a block of the default size, `view.BLOCK_BYTES`."""
        return self.view.block_queries

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
            block_queries: The most queries of a block.

        Raises:
            TableError: A column is unknown, or a file is damaged.
        """
        for part in self.view.parts(columns, responses=responses):
            yield from self.view.tables(part, block_queries or self.view.block_queries)

    def collect(self) -> OutcomeTable:
        """The whole table in memory, with responses, in the order of its source's rows."""
        tables: list[OutcomeTable] = []
        places = []
        for part in self.view.parts(None, responses=True):
            tables.extend(self.view.tables(part))
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
        drawn = np.concatenate([tickets(keys, seed)[mask] for keys, mask in self.view.digests()])
        last = np.partition(drawn, n - 1)[n - 1] if n < len(drawn) else 1.0
        tables: list[OutcomeTable] = []
        for part in self.view.parts(columns, responses=False):
            chosen = tickets(part.queries, seed) <= last
            if chosen.any():
                tables.extend(map(with_own_texts, self.view.tables(part.keep(chosen))))
        return concat(tables)

    # Views

    def _showing(self, **changes: Any) -> Self:  # noqa: ANN401  attributes of a view
        return type(self)(replace(self.view, **changes))

    def select_arms(self, names: Sequence[str]) -> Self:
        """The table of these arms, in this order.

        Raises:
            TableError: An arm is not in the table.
        """
        unknown = [name for name in names if name not in self.arm_names]
        if unknown:
            msg = f"unknown arm {unknown[0]!r}; the table has {', '.join(self.arm_names)}"
            raise TableError(msg, field="arms")
        arms = tuple(self.arms[self.arm_names.index(name)] for name in names)
        return self._showing(arms=arms)

    def judged(self) -> Self:
        """The same table with the judge's scores in the place of quality.

        Raises:
            TableError: The table carries no judge scores.
        """
        if not self.has_judge:
            msg = "the table has no judge scores"
            raise TableError(msg, field="llm_judge")
        return self._showing(judged=True)

    def with_usable_costs(self) -> Self:
        """The table, with nominal costs where it has none: see `pricing.with_nominal_costs`."""
        if self.has_costs or np.isnan(self.prices).any():
            return self
        return self._showing(cost_basis="nominal")

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
        sides = three_sides(test, validation, seed, len(self.view.sides))
        train, held, tested = (
            None if side is None else self._showing(sides=(*self.view.sides, side))
            for side in sides
        )
        assert train is not None  # noqa: S101  it has a side
        if any(side is not None and not len(side) for side in (train, held, tested)):
            msg = f"{len(self)} queries are too few for test={test}, validation={validation}"
            raise TableError(msg)
        return LargeSplit(train, held or train, tested or train)

    # Content

    def fingerprint(self) -> str:
        """SHA-256 of the content, however it is cut into files and ordered in them.

        Up to 8,192 queries with 2^28 letters of responses it is the fingerprint of the
        `OutcomeTable`; beyond, the digest of such fingerprints, in the order of `blocks`.
        """
        named = [name for name in CELLS if name != "logprob" or self.has_logprobs]
        return fingerprint(self.blocks(responses=True), named)
