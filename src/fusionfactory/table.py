"""OutcomeTable: what every arm did on every query, as arrays. A missing cell is NaN."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fusionfactory import layout
from fusionfactory.arm_order import best_arm, cheapest_arm
from fusionfactory.atomic import write_atomically
from fusionfactory.errors import TableError
from fusionfactory.fingerprint import content_digest
from fusionfactory.long_form import (
    ARM_COLUMNS,
    CELLS,
    QUERY_COLUMNS,
    arms_of,
    first_known,
    positions,
)
from fusionfactory.missing import adjusted_means
from fusionfactory.normal_text import COARSE, normal_text, text_digests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fusionfactory.types import Arm, BoolArray, FloatArray, IntArray

__all__ = ["CELLS", "QUERY_COLUMNS", "OutcomeTable", "TableSplit"]


@dataclass(frozen=True)
class TableSplit:
    """Three tables without a query, or a near-duplicate of one, in common."""

    train: OutcomeTable
    validation: OutcomeTable
    test: OutcomeTable


@dataclass(frozen=True, eq=False)
class OutcomeTable:
    """n queries by m arms.

    Attributes:
        queries: n rows; columns `QUERY_COLUMNS`, all text, `query_id` unique.
        arms: m arms, the order of the columns of every array.
        quality: (n, m) task metric in [0, 1].
        judge: (n, m) judge score in [0, 1].
        cost_usd: (n, m) USD per call.
        input_tokens: (n, m).
        output_tokens: (n, m).
        latency_s: (n, m) seconds.
        responses: (n, m) texts or None.
        cost_basis: `measured`, `nominal` (see `pricing.with_nominal_costs`) or `missing`.
        samples: (n, m) how many answers each quality is the mean of, or None for one each; a file
            does not keep it.
        logprob: (n, m) mean natural log-probability of the response's tokens, 0 at most; all NaN
            where it is not given.
    """

    queries: pl.DataFrame
    arms: tuple[Arm, ...]
    quality: FloatArray
    judge: FloatArray
    cost_usd: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    latency_s: FloatArray
    responses: NDArray[np.object_] | None = None
    cost_basis: str = field(default="measured")
    samples: FloatArray | None = None
    logprob: FloatArray = field(default_factory=partial(np.empty, 0))

    def __post_init__(self) -> None:
        shape = (self.queries.height, len(self.arms))
        if 0 in shape:
            msg = f"an outcome table needs queries and arms, got {shape[0]} by {shape[1]}"
            raise TableError(msg)
        if not self.logprob.size:
            object.__setattr__(self, "logprob", np.full(shape, np.nan))
        for name in CELLS:
            if getattr(self, name).shape != shape:
                msg = f"has shape {getattr(self, name).shape}, expected {shape}"
                raise TableError(msg, field=name)
        if self.samples is not None and self.samples.shape != shape:
            msg = f"has shape {self.samples.shape}, expected {shape}"
            raise TableError(msg, field="samples")
        if len(set(self.arm_names)) != len(self.arms):
            msg = f"two arms have one name: {sorted(self.arm_names)}"
            raise TableError(msg, field="arms")

    def __len__(self) -> int:
        return self.queries.height

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Names of the arms in column order."""
        return tuple(arm.name for arm in self.arms)

    @property
    def texts(self) -> list[str]:
        """The n query texts."""
        return self.queries["query"].to_list()

    @property
    def tasks(self) -> NDArray[np.str_]:
        """The n task names; an absent name is the empty string."""
        return np.asarray(self.queries["task"].fill_null("").to_list(), dtype=np.str_)

    @property
    def has_costs(self) -> bool:
        """Whether any cell carries a cost."""
        return not bool(np.isnan(self.cost_usd).all())

    @property
    def has_judge(self) -> bool:
        """Whether any cell carries a judge score."""
        return not bool(np.isnan(self.judge).all())

    @property
    def has_logprobs(self) -> bool:
        """Whether any cell carries a log-probability."""
        return not bool(np.isnan(self.logprob).all())

    @property
    def prices(self) -> FloatArray:
        """(m, 2) USD per million input and output tokens, NaN where unknown."""
        pairs = [(arm.input_price, arm.output_price) for arm in self.arms]
        return np.asarray(pairs, dtype=np.float64)

    # Reading and writing

    @classmethod
    def read(cls, path: str | Path) -> OutcomeTable:
        """Reads Parquet in the FusionBench column layout.

        Raises:
            TableError: The file is unreadable or its content malformed.
        """
        path = Path(path)
        if path.is_dir():
            msg = "is a folder, expected a file: LargeTable.scan reads a folder of Parquet files"
            raise TableError(msg, file=path)
        try:
            frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
            metadata = pl.read_parquet_metadata(path)
        except FileNotFoundError:
            msg = "no such file"
            raise TableError(msg, file=path) from None
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            reason = next(iter(str(error).splitlines()), "damaged")
            msg = f"cannot be read as Parquet ({reason}); is it complete?"
            raise TableError(msg, file=path) from None
        table = cls.from_long(layout.to_long(frame, source=path), source=path)
        return replace(table, cost_basis=metadata.get(layout.BASIS_KEY, table.cost_basis))

    def write(self, path: str | Path) -> None:
        """Writes Parquet in the FusionBench column layout, all or nothing."""
        frame = layout.to_fusionbench(self.to_long())
        metadata = {layout.BASIS_KEY: self.cost_basis}
        write_atomically(
            Path(path),
            lambda target: frame.write_parquet(target, compression="zstd", metadata=metadata),
        )

    @classmethod
    def from_long(
        cls, long: pl.DataFrame, *, source: str | Path | layout.Origin | None = None
    ) -> OutcomeTable:
        """Builds the arrays from one row per cell, in the columns of `layout.to_long`.

        Queries and arms keep the order of their first rows. Of a query's or arm's attributes the
        first known value counts.

        Raises:
            TableError: Two rows fill one cell.
        """
        queries = first_known(long, QUERY_COLUMNS)
        arms = first_known(long, ARM_COLUMNS)
        rows = positions(long["query_id"], queries["query_id"])
        columns = positions(long["arm"], arms["arm"])
        shape = (queries.height, arms.height)
        flat = rows * shape[1] + columns
        layout.reject_duplicates(long, flat, layout.Origin.of(source))
        cells: dict[str, Any] = {}
        for name in CELLS:
            cells[name] = np.full(shape, np.nan)
            cells[name].flat[flat] = long[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        responses = None
        if long["response"].null_count() < long.height:
            responses = np.full(shape, None, dtype=np.object_)
            responses.flat[flat] = long["response"].to_numpy()
        basis = "missing" if np.isnan(cells["cost_usd"]).all() else "measured"
        return cls(
            queries=queries,
            arms=arms_of(arms),
            responses=responses,
            cost_basis=basis,
            **cells,
        )

    def to_long(self) -> pl.DataFrame:
        """One row per cell that holds anything, in the columns of `layout.to_long`.

        The first query has a row for every arm and every query one for some arm, empty if need be:
        an arm or a query without any outcome stays in the table.
        """
        filled = np.logical_or.reduce([~np.isnan(getattr(self, name)) for name in CELLS])
        if self.responses is not None:
            filled |= self.responses != None  # noqa: E711  elementwise on objects
        filled[0] = True
        filled[~filled.any(axis=1), 0] = True
        rows, columns = np.nonzero(filled)
        arms = pl.DataFrame(
            {
                "arm": self.arm_names,
                "model": [arm.model for arm in self.arms],
                "strategy": [arm.strategy for arm in self.arms],
                "arm_description": [arm.description for arm in self.arms],
                "input_price": self.prices[:, 0],
                "output_price": self.prices[:, 1],
            },
            schema_overrides={
                "arm_description": pl.String, "input_price": pl.Float64, "output_price": pl.Float64,
            },
        )  # fmt: skip
        cells = {name: getattr(self, name)[rows, columns] for name in CELLS}
        texts = [None] * len(rows) if self.responses is None else self.responses[rows, columns]
        long = pl.concat(
            [self.queries[rows], arms[columns], pl.DataFrame(cells)], how="horizontal"
        ).with_columns(pl.Series("response", list(texts), dtype=pl.String))
        return long.with_columns(pl.selectors.float().fill_nan(None))

    # Selecting

    def rows(self, index: IntArray | BoolArray) -> OutcomeTable:
        """The table of these queries."""
        index = np.nonzero(index)[0] if index.dtype == np.bool_ else index
        cells = {name: getattr(self, name)[index] for name in CELLS}
        responses = None if self.responses is None else self.responses[index]
        samples = None if self.samples is None else self.samples[index]
        queries = self.queries[index]
        return replace(self, queries=queries, responses=responses, samples=samples, **cells)

    def select_arms(self, names: Sequence[str]) -> OutcomeTable:
        """The table of these arms, in this order.

        Raises:
            TableError: An arm is not in the table.
        """
        unknown = [name for name in names if name not in self.arm_names]
        if unknown:
            msg = f"unknown arm {unknown[0]!r}; the table has {', '.join(self.arm_names)}"
            raise TableError(msg, field="arms")
        index = [self.arm_names.index(name) for name in names]
        cells = {name: getattr(self, name)[:, index] for name in CELLS}
        responses = None if self.responses is None else self.responses[:, index]
        samples = None if self.samples is None else self.samples[:, index]
        arms = tuple(self.arms[i] for i in index)
        return replace(self, arms=arms, responses=responses, samples=samples, **cells)

    def judged(self) -> OutcomeTable:
        """The same table with the judge's scores in the place of quality.

        Raises:
            TableError: The table carries no judge scores.
        """
        if not self.has_judge:
            msg = "the table has no judge scores"
            raise TableError(msg, field="llm_judge")
        return replace(self, quality=self.judge)

    def groups(self) -> IntArray:
        """(n,) group numbers: queries whose texts are equal but for case and punctuation share one.

        Numbers follow the sorted texts, so they do not depend on the order of rows.
        """
        ranks = self.queries.select(normal_text(COARSE).rank("dense").alias("rank"))["rank"]
        return ranks.to_numpy().astype(np.int64) - 1

    def text_digests(self) -> NDArray[np.uint64]:
        """(n,) 64-bit digests of the texts: see `normal_text.text_digests`."""
        return text_digests(self.texts)

    def split(self, *, test: float = 0.3, validation: float = 0.0, seed: int = 0) -> TableSplit:
        """Splits by query at random, near-duplicates (`groups`) on one side.

        Args:
            test: Share of the queries to test on.
            validation: Share of the queries to choose on.
            seed: Of the permutation.

        Returns:
            Where `test` or `validation` is 0, that part is the train part.

        Raises:
            TableError: A share is not in [0, 1) or leaves its side empty.
        """
        if not (0 <= test < 1 and 0 <= validation < 1 and test + validation < 1):
            msg = f"test={test} and validation={validation} must be shares that leave a train side"
            raise TableError(msg)
        groups = self.groups()
        order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
        sizes = np.bincount(groups)[order]
        before = np.empty(len(order))
        before[order] = (np.cumsum(sizes) - sizes) / len(self)
        side = np.searchsorted([test, test + validation], before, side="right")[groups]
        masks = [side == 2, side == 1, side == 0]
        wanted = (True, validation > 0, test > 0)
        if any(want and not mask.any() for want, mask in zip(wanted, masks, strict=True)):
            msg = f"{len(self)} queries are too few for test={test}, validation={validation}"
            raise TableError(msg)
        parts = [self.rows(mask) if mask.any() else None for mask in masks]
        train, held, tested = parts
        assert train is not None  # noqa: S101  checked above
        return TableSplit(train, held or train, tested or train)

    # Describing

    def observed(self) -> BoolArray:
        """(n, m) which cells carry a quality."""
        return ~np.isnan(self.quality)

    def coverage(self) -> dict[str, float]:
        """Share of the queries on which each arm has a quality."""
        share = self.observed().mean(axis=0)
        return {name: float(s) for name, s in zip(self.arm_names, share, strict=True)}

    def arm_quality(self) -> FloatArray:
        """(m,) mean quality per arm, comparable between arms that missed different queries.

        Fits query + arm effects to the observed cells by least squares, so that an arm which only
        met easy queries gains nothing by it. With no missing cell it is the mean of each column.
        An arm without any cell is NaN.
        """
        return adjusted_means(self.quality)

    def arm_cost_usd(self) -> FloatArray:
        """(m,) mean USD per query and arm over the cells that carry a cost; NaN where none does."""
        known = ~np.isnan(self.cost_usd)
        count = known.sum(axis=0)
        total = np.where(known, self.cost_usd, 0.0).sum(axis=0)
        unknown = np.full(len(self.arms), np.nan)
        return np.asarray(np.divide(total, count, out=unknown, where=count > 0))

    def best_single(self) -> int:
        """Column of the arm with the highest mean quality; ties go to the cheaper arm.

        An arm with under a tenth of the cells of the best covered one is no candidate.

        Raises:
            TableError: No cell carries a quality.
        """
        cells = self.observed().sum(axis=0)
        return best_arm(self.arm_names, self.arm_quality(), self.arm_cost_usd(), cells)

    def cheapest(self) -> int:
        """Column of the arm with the lowest mean cost; the worse arm where costs are equal."""
        return cheapest_arm(self.arm_names, self.arm_quality(), self.arm_cost_usd())

    def fingerprint(self) -> str:
        """SHA-256 of the content, whatever the order of rows and columns.

        A table and what `read` makes of its file have one fingerprint. `cost_basis` is not in it.
        """
        # A table without log-probabilities keeps the fingerprint from before there were any.
        named = [name for name in CELLS if name != "logprob" or self.has_logprobs]
        cells = {name: getattr(self, name) for name in named}
        return content_digest(self.queries, self.arms, cells, self.responses)
