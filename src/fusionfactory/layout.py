"""The FusionBench column layout: one row per (query, LLM), and its reading into checked columns.

Costs stand in 1e-6 USD there and in USD everywhere else in this package. An LLM named `m_think` is
the arm `m|think`: its rows carry the query text with a suffix and belong to the direct rows' query.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.errors import InputError, TableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fusionfactory.types import FloatArray, IntArray

__all__ = [
    "BASIS_KEY",
    "COST_DECIMALS",
    "MICRO",
    "NUMBERS",
    "REQUIRED",
    "TEXTS",
    "THINK_SUFFIX",
    "THINK_SUFFIXES",
    "Origin",
    "check_columns",
    "micro_usd",
    "reject_duplicates",
    "to_fusionbench",
    "to_long",
]

BASIS_KEY = "fusionfactory.cost_basis"
"""Key of a Parquet file's metadata: whether costs were measured."""
MICRO = 1e6
"""`cost` stands in USD / MICRO."""
COST_DECIMALS = 6
"""Decimals of `cost`: coarse enough that 1,000 USD survive the change of unit and back."""
THINK_SUFFIX = "\nLet's think step by step."
_THINK_PATTERN = r"(?i)\s*let[’']s think step by step[.!:]?\s*$"
THINK_SUFFIXES = r"(?i)(?:\s*let[’']s think step by step[.!:]?\s*)+$"
"""What think rows may add to a text, any number of times."""

REQUIRED = ("task_name", "query", "llm")
TEXTS = ("task_name", "task_id", "query_id", "task_description", "domain", "query", "ground_truth",
         "metric", "split", "llm", "llm_description", "response")  # fmt: skip
NUMBERS = ("input_price", "output_price", "input_tokens_num", "output_tokens_num", "performance",
           "llm_judge", "cost", "cost_usd", "latency_s", "logprob")  # fmt: skip
_SCORES = ("performance", "llm_judge")


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a frame came from, so that a message names file, row and field as its user knows them.

    Attributes:
        file: The file, for all rows.
        files: The file of each row, where there are several.
        rows: The row in its file of each row, from 1; the position in the frame if absent.
        fields: This layout's column to the name it has in the file.
        error: What to raise.
    """

    file: str | Path | None = None
    files: pl.Series | None = None
    rows: pl.Series | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    error: type[InputError] = TableError

    @classmethod
    def of(cls, source: str | Path | Origin | None) -> Origin:
        """An origin as it is, a path as the file of all rows."""
        return source if isinstance(source, Origin) else cls(source)

    def row(self, position: int) -> int:
        """The row in the file, from 1, of a position in the frame, from 0."""
        return position + 1 if self.rows is None else int(self.rows[position])

    def fail(
        self, message: str, *, position: int | None = None, column: str | None = None
    ) -> InputError:
        """The error for a position in the frame (from 0) and a column of this layout."""
        row = None if position is None else self.row(position)
        file = self.file
        if position is not None and self.files is not None:
            file = str(self.files[position])
        name = None if column is None else self.fields.get(column, column)
        return self.error(message, file=file, row=row, field=name)


def to_long(
    frame: pl.DataFrame,
    *,
    source: str | Path | Origin | None = None,
    ambiguous: Sequence[str] = (),
) -> pl.DataFrame:
    """Checks a frame in the FusionBench layout and returns it in this package's columns.

    Args:
        frame: A row per (query, LLM). Unknown columns are ignored, absent optional ones are null.
            Three optional columns are this package's own: `query_id`, `cost_usd` in place of
            `cost`, and `logprob`.
        source: Where the frame came from, for messages.
        ambiguous: Names `task:task_id` that are known to stand for more texts than the frame shows.

    Returns:
        Columns `query_id, query, task, domain, target, metric, split, description, arm, model,
        strategy, arm_description, input_price, output_price, input_tokens, output_tokens, quality,
        judge, cost_usd, latency_s, logprob, response`; NaN numbers and an empty task become null.

    Raises:
        TableError: A column is missing or of the wrong type, or a value is out of its range.
    """
    origin = Origin.of(source)
    frame = check_columns(frame, origin)
    bar = pl.col("llm").str.contains("|", literal=True)
    marked = pl.col("llm").str.ends_with("_think")
    first = pl.col("llm").str.split("|").list.first()
    rest = pl.col("llm").str.extract(r"^[^|]*\|(.+)$").fill_null("direct")
    frame = frame.with_columns(
        model=pl.when(bar).then(first).when(marked).then(first.str.strip_suffix("_think")).otherwise(first),
        strategy=pl.when(bar).then(rest).when(marked).then(pl.lit("think")).otherwise(pl.lit("direct")),
    )  # fmt: skip
    rule = "names no model: expected `model`, `model_think` or `model|strategy`"
    _reject(frame, pl.col("model").str.strip_chars() == "", "llm", rule, origin)
    arm = pl.concat_str("model", pl.lit("|"), "strategy")
    long = frame.select(
        _query_texts(frame).alias("query"),
        pl.col("task_name").alias("task"),
        "task_id",
        "query_id",
        "domain",
        pl.col("ground_truth").alias("target"),
        "metric",
        "split",
        pl.col("task_description").alias("description"),
        pl.when(pl.col("strategy") == "direct").then("model").otherwise(arm).alias("arm"),
        "model",
        "strategy",
        pl.col("llm_description").alias("arm_description"),
        "input_price",
        "output_price",
        pl.col("input_tokens_num").alias("input_tokens"),
        pl.col("output_tokens_num").alias("output_tokens"),
        pl.col("performance").alias("quality"),
        pl.col("llm_judge").alias("judge"),
        pl.coalesce("cost_usd", pl.col("cost") / MICRO).alias("cost_usd"),
        "latency_s",
        "logprob",
        "response",
    )
    ids = _query_ids(long, origin, ambiguous)
    task = pl.when(pl.col("task") != "").then("task")
    return long.drop("task_id", "query_id").select(ids, pl.exclude("task"), task.alias("task"))


def _query_texts(frame: pl.DataFrame) -> pl.Series:
    """The text of each row's query: of a think row, that of the direct rows it belongs to.

    The suffix is taken off, unless the direct rows carry it too; blanks before it do not count.
    """
    think = frame["strategy"] == "think"
    if not think.any():
        return frame["query"]
    pairs = frame.select(pl.col("task_name").alias("task"), "query")
    direct = pairs.filter(~think).unique()
    tails = (
        direct.sort("task", "query")
        .select("task", pl.col("query").str.strip_chars_end().alias("tail"), loose="query")
        .unique(["task", "tail"], keep="first", maintain_order=True)
    )
    found = (
        pairs.filter(think)
        .unique()
        .with_columns(
            short=pl.when(pl.col("query").str.ends_with(THINK_SUFFIX))
            .then(pl.col("query").str.strip_suffix(THINK_SUFFIX))
            .otherwise(pl.col("query").str.replace(_THINK_PATTERN, ""))
        )
        .with_columns(pl.col("short").str.strip_chars_end().alias("tail"))
        .join(direct.select("task", short="query", exact=True), on=["task", "short"], how="left")
        .join(direct.with_columns(same=True), on=["task", "query"], how="left")
        .join(tails, on=["task", "tail"], how="left")
        .select(
            "task",
            "query",
            text=pl.when("exact").then("short").when("same").then("query").otherwise(
                pl.coalesce("loose", "short")
            ),
        )
    )  # fmt: skip
    joined = pairs.join(found, on=["task", "query"], how="left", maintain_order="left")
    return joined.select(pl.when(think).then("text").otherwise("query").alias("query"))["query"]


def _query_ids(long: pl.DataFrame, origin: Origin, ambiguous: Sequence[str]) -> pl.Series:
    """`query_id` where given, `task:task_id` where that names one text, else `task:text's hash`."""
    keys = long.select("task", "task_id", "query").unique(maintain_order=True)
    known = pl.col("task_id").drop_nulls()
    alone = known.n_unique().over("task", "query") == 1
    filled = pl.when(alone).then(known.first().over("task", "query")).otherwise("task_id")
    named = keys.with_columns(name=pl.col("task") + ":" + filled)
    same = pl.struct("task", "query").n_unique().over("name") == 1
    same &= ~pl.col("name").is_in(list(ambiguous))
    named = named.with_columns(pl.when(same).then("name").alias("name"))
    unnamed = named.filter(pl.col("name").is_null())["query"].unique()
    digests = pl.DataFrame(
        {"query": unnamed, "digest": [_digest(text) for text in unnamed]},
        schema_overrides={"query": pl.String, "digest": pl.String},
    )
    named = named.join(digests, on="query", how="left").with_columns(
        pl.coalesce("name", pl.col("task") + ":" + pl.col("digest")).alias("name")
    )
    joined = long.join(
        named, on=["task", "task_id", "query"], how="left", maintain_order="left", nulls_equal=True
    )
    if long["query_id"].null_count() < long.height:
        _reject_ambiguous(long, origin)
    return joined.select(pl.coalesce("query_id", "name").alias("query_id"))["query_id"]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _reject_ambiguous(long: pl.DataFrame, origin: Origin) -> None:
    first = pl.col("query").first().over("query_id")
    bad = (pl.col("query") != first) & pl.col("query_id").is_not_null()
    _reject(long, bad, "query_id", "stands for two texts", origin)


def check_columns(frame: pl.DataFrame, source: str | Path | Origin | None) -> pl.DataFrame:
    """All known columns with their types; optional absent ones as nulls.

    Raises:
        TableError: As in `to_long`.
    """
    origin = Origin.of(source)
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        needed = ", ".join(origin.fields.get(name, name) for name in REQUIRED)
        msg = f"missing; the columns {needed} are required, found {', '.join(frame.columns)}"
        raise origin.fail(msg, column=missing[0])
    if not frame.height:
        raise origin.fail("the table has no rows")  # noqa: EM101
    casts = [_cast(frame, name, pl.String, origin) for name in TEXTS]
    casts += [_cast(frame, name, pl.Float64, origin) for name in NUMBERS]
    frame = pl.DataFrame(casts).with_columns(pl.col(NUMBERS).fill_nan(None))
    for name in REQUIRED:
        _reject(frame, pl.col(name).is_null(), name, "is empty", origin)
    _reject(frame, pl.col("llm").str.strip_chars() == "", "llm", "is empty", origin)
    for name in NUMBERS:
        if name in _SCORES:
            outside = (pl.col(name) < 0) | (pl.col(name) > 1)
            _reject(frame, outside, name, "must lie in [0, 1]", origin)
        elif name == "logprob":
            bad = (pl.col(name) > 0) | pl.col(name).is_infinite()
            _reject(frame, bad, name, "must be finite and not above 0", origin)
        else:
            bad = (pl.col(name) < 0) | pl.col(name).is_infinite()
            _reject(frame, bad, name, "must be finite and not negative", origin)
    return frame


def _cast(frame: pl.DataFrame, name: str, dtype: type[pl.DataType], origin: Origin) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [None], dtype=dtype).new_from_index(0, frame.height)
    column = frame[name]
    number = dtype == pl.Float64
    odd = column.dtype == pl.Boolean or column.dtype.is_nested() or column.dtype == pl.Object
    if odd or (number and (column.dtype.is_temporal() or column.dtype == pl.Binary)):
        msg = f"has type {column.dtype}, expected {'a number' if number else 'text'}"
        raise origin.fail(msg, column=name)
    cast = column.cast(dtype, strict=False)
    lost = cast.is_null() & column.is_not_null()
    if column.dtype == pl.String and number:
        lost &= column.str.strip_chars() != ""
    if lost.any():
        position = int(lost.arg_max() or 0)
        msg = f"{column[position]!r} is no {'number' if number else 'UTF-8 text'}"
        raise origin.fail(msg, position=position, column=name)
    return cast


def _reject(frame: pl.DataFrame, bad: pl.Expr, name: str, rule: str, origin: Origin) -> None:
    mask = frame.select(bad.fill_null(value=False).alias("bad"))["bad"]
    if mask.any():
        position = int(mask.arg_max() or 0)
        raise origin.fail(f"{frame[name][position]!r} {rule}", position=position, column=name)  # noqa: EM102


def micro_usd(cost_usd: FloatArray) -> FloatArray:
    """USD as 1e-6 USD, rounded so that writing and reading again gives the same number."""
    return np.asarray(np.round(cost_usd * MICRO, COST_DECIMALS))


def to_fusionbench(long: pl.DataFrame) -> pl.DataFrame:
    """The inverse of `to_long`: this package's columns in the FusionBench layout.

    `query_id` is a column of it only where `task_name` and `task_id` would not give it back, and
    `logprob` only where one is known.
    """
    think = pl.col("strategy") == "think"
    marked = pl.col("arm").str.ends_with("_think") & ~pl.col("arm").str.contains("|", literal=True)
    llm = (
        pl.when(think)
        .then(pl.col("model") + "_think")
        .when(marked)
        .then(pl.col("arm") + "|direct")
        .otherwise("arm")
    )
    prefix = pl.col("task").fill_null("") + ":"
    cost = micro_usd(long["cost_usd"].fill_null(np.nan).to_numpy())
    frame = long.select(
        pl.col("task").fill_null("").alias("task_name"),
        pl.col("query_id").str.strip_prefix(prefix).alias("task_id"),
        "query_id",
        pl.col("description").alias("task_description"),
        "domain",
        pl.when(think).then(pl.col("query") + THINK_SUFFIX).otherwise("query").alias("query"),
        pl.col("target").alias("ground_truth"),
        "metric",
        "split",
        llm.alias("llm"),
        pl.col("arm_description").alias("llm_description"),
        "input_price",
        "output_price",
        _whole(long["input_tokens"]).alias("input_tokens_num"),
        _whole(long["output_tokens"]).alias("output_tokens_num"),
        pl.col("quality").alias("performance"),
        pl.col("judge").alias("llm_judge"),
        pl.Series("cost", cost).fill_nan(None),
        "latency_s",
        "logprob",
        "response",
    )
    kept = frame.select((pl.col("query_id") == pl.col("task_name") + ":" + pl.col("task_id")).all())
    needless = ["query_id"] if kept.item() else []
    if frame["logprob"].null_count() == frame.height:
        needless.append("logprob")
    return frame.drop(needless)


def _whole(tokens: pl.Series) -> pl.Series:
    """Counts as integers; means over samples stay fractions."""
    whole = tokens.cast(pl.Int64, strict=False)
    return whole if ((whole == tokens) | tokens.is_null()).all() else tokens


def reject_duplicates(long: pl.DataFrame, flat: IntArray, origin: Origin) -> None:
    """Raises TableError where two rows fill one cell.

    Args:
        long: r rows, one per cell.
        flat: (r,) number of the cell that each fills.
        origin: Where the rows came from.
    """
    order = np.argsort(flat, kind="stable")
    twice = np.nonzero(np.diff(flat[order]) == 0)[0]
    if twice.size:
        row = int(order[twice[0] + 1])
        first = int(order[twice[0]])
        msg = (
            f"duplicate cell: arm {long['arm'][row]!r} already answered query "
            f"{long['query_id'][row]!r} in row {origin.row(first)}"
        )
        raise origin.fail(msg, position=row)
