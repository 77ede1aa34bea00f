"""From the answers of all arms to what a student is trained on.

The paper's criteria are those of FusionBench (arXiv 2507.10540): the top k answers of each train
question, right or not, by quality and then cost (`performance`); by the judge's score and then cost
(`judge`); by quality, then the judge's score, then cost (`hybrid`: the paper ranks by performance
and lets the judge decide between equals); or the question's own target alone (`label`). `best` asks
more: see `SelectSettings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.distill.selecting.answers import Answers
from fusionfactory.distill.selecting.pairs import make_pairs
from fusionfactory.distill.selecting.picking import Picker, ranked
from fusionfactory.distill.selecting.pool import as_queries, make_pool
from fusionfactory.distill.selecting.report import selection_report
from fusionfactory.distill.selecting.sieve import (
    UNVERIFIED,
    left,
    reject,
    sieved,
    student_limits,
)
from fusionfactory.distill.selecting.verify import Verifier
from fusionfactory.distill.selection import Example, Pair, Selection
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fusionfactory.distill.selecting.pool import Pool
    from fusionfactory.distill.selecting.settings import SelectSettings
    from fusionfactory.store import Store
    from fusionfactory.table import OutcomeTable
    from fusionfactory.tasks import Task

__all__ = ["select"]


def select(
    source: Answers | Store | OutcomeTable | pl.DataFrame,
    settings: SelectSettings,
    *,
    tasks: Mapping[str, Task],
    progress: Callable[[int, int, str], None] | None = None,
) -> Selection:
    """Chooses what a student learns from.

    Args:
        source: A store (all samples), a table, or a frame as `Answers.of` reads it.
        settings: By what.
        tasks: Name to task, for the prompts and for the form of labels; a question of another task
            is asked as it stands.
        progress: Told how many answers were scored again, of how many, and what is done.

    Raises:
        DistillError: There is nothing to choose from, or a setting names what is not there.
        SandboxError: There is code to run again and no way to isolate it.
    """
    answers = Answers.of(source)
    pool = make_pool(answers, settings, tasks)
    limits = student_limits(pool.own, settings)
    frame = sieved(pool.frame, settings, limits)
    usable = ranked(left(frame), settings)
    verifier = None
    if settings.verifies:
        queries = {query.id: query for query in as_queries(pool.queries)}
        verifier = Verifier(queries, progress=progress)
    picked = _picked(usable, Picker(settings), verifier)
    taken = left(picked)
    if taken.is_empty():
        raise _nothing(frame, picked)
    report = selection_report(pool, _told(frame, picked), settings, limits)
    pairs: list[Pair] = []
    if settings.pairs is not None:
        covered = pl.col("place").is_in(taken["place"].unique().to_list())
        pairs, report["pairs"] = make_pairs(usable.filter(covered), pool, settings, verifier)
    examples = _examples(taken, pool)
    return Selection(tuple(examples), tuple(pairs), settings.as_json(), report)


def _picked(usable: pl.DataFrame, picker: Picker, verifier: Verifier | None) -> pl.DataFrame:
    picked = picker.pick(usable)
    # What takes the place of an answer that was refuted has to be scored again too.
    while verifier is not None and not verifier.verify(left(picked)):
        refuted = pl.col("no").is_in(verifier.refuted)
        picked = picker.pick(reject(usable, UNVERIFIED, refuted))
    return picked


def _told(frame: pl.DataFrame, picked: pl.DataFrame) -> pl.DataFrame:
    """All answers with their reasons, those that only picking gave among them."""
    given = picked.select("no", given="reason")
    joined = frame.join(given, on="no", how="left", maintain_order="left")
    return joined.with_columns(reason=pl.coalesce("reason", "given")).drop("given")


def _nothing(frame: pl.DataFrame, picked: pl.DataFrame) -> DistillError:
    counts = _told(frame, picked)["reason"].drop_nulls().value_counts(sort=True)
    why = ", ".join(f"{reason} {count}" for reason, count in counts.iter_rows())
    msg = f"no answer is left to train on: {why or 'none was given'}"
    return DistillError(msg)


def _examples(taken: pl.DataFrame, pool: Pool) -> list[Example]:
    places = taken.select(pl.int_range(1, pl.len() + 1).over("place").alias("rank"))["rank"]
    columns = (
        "query_id", "task", "domain", "response", "arm", "sample", "quality", "judge", "cost_usd",
        "solved",
    )  # fmt: skip
    rows = taken.select(columns).with_columns(places).iter_rows(named=True)
    return [Example(prompt=pool.prompts[row["query_id"]], **row) for row in rows]
