"""The same work by the local engine and by Ray in one run: collect, score, embed with evaluate.

    python benchmarks/engines.py TABLE [--calls 4000] [--answers 20000] [--queries 1000]
        [--delay-ms 50] [--nodes 2] [--cpus 4] [--only collect score evaluate] [--json FILE]

The endpoint is `gateway_stub.py`, which answers after a delay; the answers to score are formulas;
TABLE (`fusionbench9.parquet`) is what is embedded by MiniLM (extra `minilm`) and evaluated. The Ray
cluster has several nodes, all on this machine, so Ray cannot be faster than the cores are: what is
shown is what it costs. Each verb runs on a tenth of the work and on all of it; `per_s` is of the
difference, without what starting costs, and `start_s` is that. Every pair of results is compared.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
ENGINES = ("local", "ray")
CHANGING = ("latency_s", "created")
TIMES = ("fit_s", "route_us_per_query", "decide_p50_ms", "encode_us_per_query")


@contextmanager
def stub(delay_ms: float) -> Iterator[str]:
    """URL of an endpoint."""
    command = [sys.executable, str(HERE / "gateway_stub.py"), "--delay-ms", str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101  it is a pipe
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


@contextmanager
def cluster(nodes: int, cpus: int) -> Iterator[str]:
    """Address of a Ray cluster that is there before any verb starts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.cluster_utils import Cluster
    node = {"num_cpus": cpus, "object_store_memory": 200 * 2**20}
    logging.getLogger("ray").setLevel(logging.ERROR)
    found = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            found.add_node(**node)
        yield found.address
    finally:
        found.shutdown()


def verb(folder: Path, *arguments: str) -> float:
    """Seconds of a command in a folder; its embeddings are its own."""
    given = {**os.environ, "FUSIONFACTORY_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "fusionfactory", *arguments],
        cwd=folder, env=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
    return time.perf_counter() - started


def prepare_collect(folder: Path, count: int, _table: Path) -> tuple[str, ...]:
    """A store of questions."""
    with Store(folder / "runs.db") as store:
        store.add_queries(
            Query(f"q{i}", f"Question {i}: what follows?", task="t", metric="number", target="7")
            for i in range(count)
        )
    return ("collect", "--from-store")


def prepare_score(folder: Path, count: int, _table: Path) -> tuple[str, ...]:
    """A store of answers, one in three wrong."""
    with Store(folder / "runs.db") as store:
        store.add_arms([Arm("stub")])
        store.add_queries(
            Query(f"q{i}", f"Question {i}", task="t", metric="math", target=f"\\frac{{{i}}}{{7}}")
            for i in range(count)
        )
        said = "We add the terms and get \\boxed{{\\frac{{{}}}{{21}}}}."
        store.append(
            Outcome(f"q{i}", "stub", response=said.format(3 * i + (i % 3 == 0)))
            for i in range(count)
        )
    return ("score",)


def prepare_evaluate(folder: Path, count: int, table: Path) -> tuple[str, ...]:
    """A table of queries that no cache knows."""
    frame = pl.read_parquet(table).sort(pl.col("query").hash(0), maintain_order=True)
    kept = frame["query"].unique(maintain_order=True)[:count]
    frame.filter(pl.col("query").is_in(kept.implode())).write_parquet(folder / "log.parquet")
    chosen = ("--encoder", "minilm", "--router", "ridge", "--router", "knn", "--seeds", "2")
    return ("evaluate", "log.parquet", *chosen, "--json", "evaluation.json")


PREPARE: dict[str, Callable[[Path, int, Path], tuple[str, ...]]] = {
    "collect": prepare_collect, "score": prepare_score, "evaluate": prepare_evaluate,
}  # fmt: skip


def result(folder: Path) -> object:
    """What a verb made, but for times."""
    if (folder / "evaluation.json").exists():
        return without(json.loads((folder / "evaluation.json").read_text("utf-8")), TIMES)
    with Store(folder / "runs.db") as store:
        return [without(vars_of(outcome), CHANGING) for outcome in store.outcomes()]


def vars_of(outcome: Outcome) -> dict[str, Any]:
    """An outcome's attributes."""
    return {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}


def without(found: Any, names: tuple[str, ...]) -> Any:  # noqa: ANN401  any JSON
    """The same without these keys, at any depth."""
    if isinstance(found, dict):
        return {key: without(value, names) for key, value in found.items() if key not in names}
    if isinstance(found, list):
        return [without(value, names) for value in found]
    return found


def settings(url: str, address: str) -> str:
    """Of both engines."""
    return (
        f'store = "runs.db"\n[[endpoints]]\nname = "stub"\nbase_url = "{url}"\napi_key_env = ""\n'
        'concurrency = 64\n[[models]]\nname = "stub"\nendpoint = "stub"\ninput_price = 1.0\n'
        f'output_price = 2.0\n[scale]\naddress = "{address}"\n'
    )


def compare(name: str, count: int, table: Path, text: str) -> dict[str, Any]:
    """Figures of a verb by both engines."""
    took: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    same = True
    tenth = max(1, count // 10)
    for size in (tenth, tenth, count):  # what comes first reads programs from the disk, too
        made = []
        for engine in ENGINES:
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                (folder / "fusionfactory.toml").write_text(text, encoding="utf-8")
                arguments = PREPARE[name](folder, size, table)
                took[engine].append(verb(folder, *arguments, "--engine", engine))
                made.append(result(folder))
        same &= made[0] == made[1]
    facts: dict[str, Any] = {"verb": name, "rows": count, "same_result": same}
    for engine, (_, small, all_of_it) in took.items():
        per_row = (all_of_it - small) / (count - tenth)
        facts[engine] = {
            "seconds": round(all_of_it, 2),
            "per_s": round(1 / per_row, 1) if per_row > 0 else None,
            "start_s": round(max(0.0, all_of_it - count * per_row), 2),
        }
    facts["ray_over_local_seconds"] = round(took["ray"][-1] / took["local"][-1], 2)
    return facts


def main() -> None:
    """Prints a JSON object per verb."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--delay-ms", type=float, default=50.0)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=PREPARE, default=list(PREPARE))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    counts = {"collect": options.calls, "score": options.answers, "evaluate": options.queries}
    found = []
    with stub(options.delay_ms) as url, cluster(options.nodes, options.cpus) as address:
        for name in options.only:
            found.append(compare(name, counts[name], options.table, settings(url, address)))
            print(json.dumps(found[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
