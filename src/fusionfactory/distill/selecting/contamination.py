"""Train questions that are held out too: equal texts, and runs of words that both have.

What the questions of a task share, instructions and the templates of generated ones, tells nothing:
three words that stand in many of them, on both sides, are a template's, and a run counts only if at
least half its words are not. A question without such a run is only compared whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.errors import DistillError, TaskError
from fusionfactory.normal_text import COARSE, normal_text
from fusionfactory.tasks.files import read_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fusionfactory.distill.selecting.settings import ContaminationSettings
    from fusionfactory.types import BoolArray, IntArray

__all__ = ["contaminated", "held_out_questions"]

_TEXT_FIELDS = ("question", "query", "text", "prompt", "problem")
_SHORT = 3
_COMMON = 5
_COMMON_SHARE = 0.01
"""A short run of words is a template's where it stands in more questions than both of these."""
_QUESTION = {"query_id": pl.String, "query": pl.String, "task": pl.String}


def held_out_questions(paths: Sequence[str]) -> pl.DataFrame:
    """The questions of files, as columns `query_id` (`FILE:ROW`), `query` and `task` (null).

    Raises:
        DistillError: A file cannot be read, or a row holds no question.
    """
    rows = []
    for path in paths:
        try:
            for number, row in read_file(Path(path)):
                found = next((row[name] for name in _TEXT_FIELDS if row.get(name)), None)
                if not isinstance(found, str) or not found.strip():
                    msg = (
                        f"holds no question: expected one of the fields {', '.join(_TEXT_FIELDS)}, "
                        f"found {', '.join(map(str, row))}"
                    )
                    raise DistillError(msg, file=path, row=number)
                rows.append((f"{path}:{number}", found, None))
        except TaskError as error:
            raise DistillError(error.message, file=path, row=error.row) from None
    return pl.DataFrame(rows, schema=_QUESTION, orient="row")


def contaminated(
    train: pl.DataFrame, held_out: pl.DataFrame, settings: ContaminationSettings
) -> pl.DataFrame:
    """The train questions that are held out too, each with the held-out one most like it.

    Args:
        train: Columns `query_id`, `query`, `task`.
        held_out: Likewise.
        settings: Length of the runs, and the share of them that is too much.

    Returns:
        Columns `train` and `held_out`, ids, and `share`, of the train question's runs; 1 for equal
        texts. In the order of `train`.
    """
    both = pl.concat([train.select(*_QUESTION), held_out.select(*_QUESTION)])
    normal = both.select(normal_text(COARSE).alias("text"))["text"]
    count = train.height
    found = pl.concat([_equal(normal, count), _overlapping(normal, both["task"], count, settings)])
    best = found.sort("train", "share", "held_out", descending=[False, True, False]).unique(
        "train", keep="first", maintain_order=True
    )
    ids = both["query_id"]
    return pl.DataFrame(
        {"train": ids[best["train"]], "held_out": ids[best["held_out"]], "share": best["share"]}
    )


def _equal(normal: pl.Series, count: int) -> pl.DataFrame:
    """Pairs of equal texts, by position."""
    texts = pl.DataFrame({"text": normal}).with_row_index("at")
    held = texts[count:].unique("text", keep="first", maintain_order=True)
    pairs = texts[:count].join(held, on="text", suffix="_held")
    return pairs.select(
        train=pl.col("at").cast(pl.Int64),
        held_out=pl.col("at_held").cast(pl.Int64),
        share=pl.lit(1.0),
    )


def _overlapping(
    normal: pl.Series, tasks: pl.Series, count: int, settings: ContaminationSettings
) -> pl.DataFrame:
    """Pairs that share enough runs of words, by position."""
    docs, words = _words(normal)
    starts, runs = _runs(docs, words, settings.ngram)
    telling = _telling(docs, words, starts, tasks, settings.ngram)
    grams = pl.DataFrame({"doc": docs[starts[telling]], "run": runs[telling]}).unique()
    mine, theirs = grams.filter(pl.col("doc") < count), grams.filter(pl.col("doc") >= count)
    shared = (
        mine.join(theirs, on="run", suffix="_held")
        .group_by("doc", "doc_held")
        .agg(shared=pl.len())
        .join(mine.group_by("doc").agg(all=pl.len()), on="doc")
        .select(train="doc", held_out="doc_held", share=pl.col("shared") / pl.col("all"))
    )
    return shared.filter(pl.col("share") >= settings.share)


def _words(normal: pl.Series) -> tuple[IntArray, NDArray[np.uint64]]:
    """Document and digest of every word of all texts."""
    words = (
        pl.DataFrame({"word": normal.str.split(" ")})
        .with_row_index("doc")
        .explode("word")
        .select(pl.col("doc").cast(pl.Int64), pl.col("word").hash())
    )
    return words["doc"].to_numpy(), words["word"].to_numpy()


def _runs(docs: IntArray, words: NDArray[np.uint64], n: int) -> tuple[IntArray, NDArray[np.uint64]]:
    """Position of the first word, and digest, of every run of n words inside a document."""
    last = max(len(words) - n + 1, 0)
    digests = np.zeros(last, dtype=np.uint64)
    for place in range(n):
        # Odd factors, so that the same words in another order are another run.
        factor = np.uint64(0x9E3779B97F4A7C15 * (2 * place + 1) & 0xFFFFFFFFFFFFFFFF)
        digests += words[place : place + last] * factor
    inside = docs[:last] == docs[n - 1 : n - 1 + last]
    return np.nonzero(inside)[0], digests[inside]


def _telling(
    docs: IntArray, words: NDArray[np.uint64], starts: IntArray, tasks: pl.Series, n: int
) -> BoolArray:
    """Which runs are no template: at least half their words stand in no common short run."""
    k = min(_SHORT, n)
    firsts, runs = _runs(docs, words, k)
    asked = pl.DataFrame({"task": tasks}).with_row_index("doc").cast({"doc": pl.Int64})
    common = (
        pl.DataFrame({"doc": docs[firsts], "run": runs})
        .join(asked.drop_nulls("task"), on="doc")
        .unique(["doc", "run"])
        .group_by("task", "run")
        .agg(count=pl.len())
        .join(asked.group_by("task").agg(size=pl.len()), on="task")
        .filter((pl.col("count") > _COMMON) & (pl.col("count") > _COMMON_SHARE * pl.col("size")))
    )
    at = firsts[np.isin(runs, common["run"].to_numpy())]
    size = len(words) + 1
    edges = np.bincount(at, minlength=size) - np.bincount(at + k, minlength=size)
    own = np.concatenate([[0], np.cumsum(np.cumsum(edges)[:-1] == 0)])
    return np.asarray(2 * (own[starts + n] - own[starts]) >= n)
