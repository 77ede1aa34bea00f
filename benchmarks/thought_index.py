"""The thought index: build, search by one and by many, disk, memory, usearch and the naive way.

python benchmarks/thought_index.py [DATA_DIR] [--templates N] [--ann N] [--json FILE]

N templates of 384 columns in 14 tasks. With DATA_DIR (the folder of `minilm_embeddings.parquet`)
a template's vector is a real one plus half the difference of two others, so that the vectors vary
as real ones do; else noise around centers, of falling variance. Tasks are the cells of 14 vectors.
Queries are made the same way. The naive way is what published research code does, written anew: a
table whose embeddings are texts, parsed for every pair, and the cosine of each pair in Python.

On a busy machine read CPU seconds beside wall seconds: alone on it, they are nearly the same.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fusionfactory.thoughts.search.index import ThoughtIndex
from fusionfactory.thoughts.template import Source, ThoughtTemplate
from routing import EMBEDDINGS, data_folder, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fusionfactory.types import FloatArray

COLUMNS, TASKS, K = 384, 14, 3
SINGLE, BATCH, ROUNDS = 60, 2000, 3
PAIRS = 2000
BUILD_S, SINGLE_MS, BATCH_PER_S = 10.0, 5.0, 2000.0


@dataclass(frozen=True)
class Timed:
    """Seconds of the wall clock and of all cores."""

    wall_s: float
    cpu_s: float


def timed(call: Callable[[], object]) -> Timed:
    """Times one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Timed(time.perf_counter() - wall, time.process_time() - cpu)


def real_vectors(folder: str) -> FloatArray:
    """The embeddings of the questions of three benchmarks."""
    frame = pl.read_parquet(data_folder(folder, EMBEDDINGS) / EMBEDDINGS)
    return np.asarray(frame["embedding"].to_list(), dtype=np.float32)


def made_vectors() -> FloatArray:
    """Noise around 200 centers, of variance that falls as it does in real embeddings."""
    rng = np.random.default_rng(0)
    scale = np.arange(1, COLUMNS + 1) ** -0.4
    centers = rng.normal(size=(200, COLUMNS)) * scale
    rows = centers[rng.integers(0, 200, 15_000)] + rng.normal(size=(15_000, COLUMNS)) * scale
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def grown(seeds: FloatArray, count: int, seed: int) -> FloatArray:
    """More vectors of the same kind."""
    rng = np.random.default_rng(seed)
    rows = np.empty((count, seeds.shape[1]), dtype=np.float32)
    for start in range(0, count, 50_000):
        part = rows[start : start + 50_000]
        one, two, three = rng.integers(0, len(seeds), (3, len(part)))
        part[:] = seeds[one] + 0.5 * (seeds[two] - seeds[three])
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return rows


def tasks_of(rows: FloatArray, centers: FloatArray) -> list[str]:
    """The cell of every row."""
    return [f"task{cell:02d}" for cell in (rows @ centers.T).argmax(axis=1)]


def templates_of(tasks: Sequence[str]) -> list[ThoughtTemplate]:
    """Templates that differ in text and task."""
    return [
        ThoughtTemplate(
            f"Note {i}.", f"Question {i}?", "", (Source(f"q{i}", "m"),), ("performance",), "w", "1",
            task,
        )
        for i, task in enumerate(tasks)
    ]  # fmt: skip


def memory_mib() -> float:
    """The most that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def search_figures(
    index: ThoughtIndex, queries: FloatArray, tasks: Sequence[str], ways: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Milliseconds of one query and queries per second, over all, in the task, with prediction."""
    options: dict[str, tuple[list[str] | None, bool]] = {
        "over all": (None, True),
        "task given": (list(tasks), False),
        "task predicted": (None, False),
    }
    figures = {}
    for way in ways:
        told, over_all = options[way]

        def ask(part: slice, told: list[str] | None = told, over_all: bool = over_all) -> None:
            index.search(queries[part], K, told and told[part], over_all=over_all)

        ask(slice(0, 1))
        single = [timed(lambda i=i: ask(slice(i, i + 1))) for i in range(SINGLE)]  # type: ignore[misc]
        batch = [timed(lambda: ask(slice(0, BATCH))) for _ in range(ROUNDS)]
        best = min(batch, key=lambda one: one.wall_s)
        figures[way] = {
            "p50_ms": 1e3 * float(np.median([one.wall_s for one in single])),
            "p95_ms": 1e3 * float(np.quantile([one.wall_s for one in single], 0.95)),
            "cpu_p50_ms": 1e3 * float(np.median([one.cpu_s for one in single])),
            "per_s": BATCH / best.wall_s,
            "per_cpu_s": BATCH / min(one.cpu_s for one in batch),
        }
    return figures


def naive_cosine(query: list[float], stored: str, parse: Callable[[str], Any]) -> float:
    """The cosine of a query and an embedding that is kept as a text."""
    other = parse(stored)
    dot = own = theirs = 0.0
    for a, b in zip(query, other, strict=True):
        dot += a * b
        own += a * a
        theirs += b * b
    return dot / (math.sqrt(own) * math.sqrt(theirs))


def naive_figures(vectors: FloatArray, query: FloatArray) -> dict[str, Timed]:
    """Seconds of one query against `PAIRS` embeddings, by how texts are parsed."""
    table = [{"embedding": str(row.tolist())} for row in vectors[:PAIRS]]
    asked = query.tolist()

    def search(parse: Callable[[str], Any]) -> list[int]:
        scores = [naive_cosine(asked, row["embedding"], parse) for row in table]
        return sorted(range(len(scores)), key=lambda i: -scores[i])[:K]

    return {
        "ast.literal_eval": timed(lambda: search(ast.literal_eval)),
        "json.loads": timed(lambda: search(json.loads)),
    }


def disk_figures(index: ThoughtIndex) -> dict[str, Any]:
    """Writing and reading."""
    with tempfile.TemporaryDirectory() as folder:
        write = timed(lambda: index.save(folder))
        read = timed(lambda: ThoughtIndex.load(folder))
        size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 2**20
    return {"save": asdict(write), "load": asdict(read), "mib": size}


def graph_figures(vectors: FloatArray, queries: FloatArray, count: int) -> dict[str, Any]:
    """An index with usearch beside the exact search of the same rows, over all."""
    templates = templates_of(["task"] * count)
    exact = ThoughtIndex.build(templates, vectors, approximate=False)
    made: list[ThoughtIndex] = []
    build = timed(lambda: made.append(ThoughtIndex.build(templates, vectors, approximate=True)))
    true = exact.search(queries[:500], K, over_all=True)
    near = made[0].search(queries[:500], K, over_all=True)
    ids = [np.asarray(index.ids)[found.rows] for index, found in ((exact, true), (made[0], near))]
    hits = [len(set(a) & set(b)) for a, b in zip(*ids, strict=True)]
    return {
        "templates": count,
        "build": asdict(build),
        "recall": float(np.mean(hits)) / K,
        "search": search_figures(made[0], queries, [], ["over all"])["over all"],
        "disk": disk_figures(made[0]),
    }


def verdict(value: float, target: float, unit: str, *, least: bool = False) -> str:
    """PASS or FAIL against the target."""
    passed = value >= target if least else value < target
    return f"{'PASS' if passed else 'FAIL'} ({'>=' if least else '<'} {target:g} {unit})"


def show_search(figures: dict[str, dict[str, float]]) -> None:
    """Prints two lines for each way to search."""
    for way, one in figures.items():
        wall, cpu = (verdict(one[name], SINGLE_MS, "ms") for name in ("p50_ms", "cpu_p50_ms"))
        print(
            f"{way:15s} one query: p50 {one['p50_ms']:.2f} ms {wall}, p95 {one['p95_ms']:.2f} ms, "
            f"CPU p50 {one['cpu_p50_ms']:.2f} ms {cpu}"
        )
        print(
            f"{'':15s} batch: {one['per_s']:,.0f}/s "
            f"{verdict(one['per_s'], BATCH_PER_S, '/s', least=True)}, "
            f"{one['per_cpu_s']:,.0f} per CPU second"
        )


def show_naive(report: dict[str, Any], figures: dict[str, Timed], count: int) -> None:
    """Prints the naive way beside ours, per query over all, in CPU seconds."""
    ours = report["search"]["over all"]["cpu_p50_ms"] / 1e3
    for parse, one in figures.items():
        every = one.cpu_s / min(PAIRS, count) * count
        report[f"naive {parse}"] = {**asdict(one), "extrapolated_cpu_s": every}
        print(
            f"naive, {parse}: {one.cpu_s:.2f} CPU s for {min(PAIRS, count)} pairs, so {every:.1f} "
            f"for one query over all; ours {ours * 1e3:.2f} ms: {every / ours:,.0f} times as fast"
        )


def main() -> None:
    """Measures and prints everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", nargs="?", help="folder of the embeddings [made vectors]")
    parser.add_argument("--templates", type=int, default=100_000)
    parser.add_argument("--ann", type=int, default=0, help="also usearch on so many templates")
    parser.add_argument("--json", type=Path, help="write everything here")
    args = parser.parse_args()
    facts = machine()
    seeds = real_vectors(args.data_dir) if args.data_dir else made_vectors()
    print(facts, f"{args.templates} templates, {COLUMNS} columns", sep="\n")
    vectors, queries = grown(seeds, args.templates, 1), grown(seeds, BATCH, 2)
    centers = seeds[np.random.default_rng(3).integers(0, len(seeds), TASKS)]
    told = tasks_of(queries, centers)
    templates = templates_of(tasks_of(vectors, centers))
    before = memory_mib()
    made: list[ThoughtIndex] = []
    build = timed(lambda: made.append(ThoughtIndex.build(templates, vectors)))
    index = made[0]
    report: dict[str, Any] = {"machine": facts, "build": asdict(build)}
    passed = verdict(build.wall_s, BUILD_S, "s")
    print(f"build {build.wall_s:.2f} s {passed}, CPU {build.cpu_s:.2f} s")
    ways = ["over all", "task given", "task predicted"]
    report["search"] = search_figures(index, queries, told, ways)
    show_search(report["search"])
    report["memory_mib"] = {"rows": vectors.nbytes / 2**20, "growth": memory_mib() - before}
    report["disk"] = disk_figures(index)
    print("memory", report["memory_mib"], "disk", report["disk"])
    show_naive(report, naive_figures(vectors, queries[0]), args.templates)
    if args.ann:
        same = args.ann == args.templates
        rows = vectors if same else grown(seeds, args.ann, 1)
        report["usearch"] = graph_figures(rows, queries, args.ann)
        print("usearch", json.dumps(report["usearch"], indent=1))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
