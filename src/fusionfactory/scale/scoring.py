"""`score` on a Ray cluster: answers in shards, scored by actors, written to the store from here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import SandboxError
from fusionfactory.scale.pool import mapped
from fusionfactory.scale.sandboxes import sandbox_nodes
from fusionfactory.scale.shards import laid_out, read_shards
from fusionfactory.scale.telling import raised, told
from fusionfactory.scorers import make_scorer
from fusionfactory.scorers.code import Code
from fusionfactory.types import Query, Score

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import pyarrow as pa

    from fusionfactory.config import ScaleSection
    from fusionfactory.scale.shards import Shards
    from fusionfactory.scorers import Scorer
    from fusionfactory.scoring import Answers, Marked

__all__ = ["ScoringWorker", "mark_on_ray"]

_THREADS = 2
_QUERY = tuple(field.name for field in fields(Query))
_SCORE = ("name", "value", "scorer", "version", "reason")


def mark_on_ray(answers: Answers, settings: ScaleSection, place: str) -> Generator[Marked]:
    """Scores answers on the cluster, each once; for `score_outcomes`, in `cluster`.

    Workers make their scorers themselves, and run code in the sandbox of their node; where only
    some nodes have one, the work is put on those. A batch whose worker died is scored again, and
    comes once all the same; one that ends every worker is given up after a few times.

    Args:
        answers: All of them are laid out first.
        settings: `[scale]`.
        place: Where their shards are laid out; see `shards_place`.

    Yields:
        Scores of a batch, as they come.

    Raises:
        ConfigError: The shards cannot be written.
        ClusterError: A scorer or Ray met what nobody foresaw, or a batch ended every worker.
        FusionFactoryError: What a scorer raised; what was scored before has been given.
    """
    needs = _Needs(settings.shard_rows)
    with laid_out(needs.seen(answers), _answer_schema(), place, settings.shard_rows) as shards:
        if not shards.rows:
            return
        nodes = sandbox_nodes() if needs.sandbox else []
        unrun: list[str] = []
        arguments = {"files": shards.files, "threads": _THREADS}
        options: dict[str, Any] = {"doing": "scoring", "threads": _THREADS, "nodes": nodes}
        for batch in mapped(needs.named(shards), ScoringWorker, arguments, settings, **options):
            rows = batch.to_pylist()
            yield [
                ((row["query_id"], row["arm"], row["sample"]), Score(*(row[n] for n in _SCORE)))
                for row in rows
                if row["problem"] is None
            ]
            problems = [raised(row["problem"]) for row in rows if row["problem"] is not None]
            for problem in problems:
                if not isinstance(problem, SandboxError):
                    raise problem
            unrun += map(str, problems)
        if unrun:
            msg = f"{len(unrun)} answers hold code that a node could not isolate: {unrun[0]}"
            raise SandboxError(msg)


class _Needs:
    """What the answers that pass by need of a node, and what an error calls their shards."""

    def __init__(self, rows_each: int) -> None:
        self.sandbox = False
        self._rows_each = rows_each
        self._firsts: list[str] = []

    def seen(self, answers: Answers) -> Iterator[dict[str, Any]]:
        """The answers as rows of shards."""
        for number, (scorer, query, outcome) in enumerate(answers):
            self.sandbox |= isinstance(scorer, Code)
            if number % self._rows_each == 0:
                self._firsts.append(_answer(query.id, outcome.arm, outcome.sample))
            yield {f"query_{name}": value for name, value in asdict(query).items()} | {
                "arm": outcome.arm,
                "sample": outcome.sample,
                "response": outcome.response or "",
            }

    def named(self, shards: Shards) -> dict[str, pa.Table]:
        """Parts for `mapped`, each by its answers."""
        parts = shards.parts("answers").items()
        return {
            f"{name}, from {first} on": part
            for (name, part), first in zip(parts, self._firsts, strict=True)
        }


class ScoringWorker:
    """Scores the answers of a shard; lives in a process of the cluster.

    Args:
        files: The file system of the shards.
        threads: Answers at a time.
    """

    def __init__(self, files: Any, threads: int) -> None:  # noqa: ANN401  fsspec is untyped
        self._files = files
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="score")
        self._scorers: dict[str, Scorer] = {}

    def __call__(self, named: pa.Table) -> pa.Table:
        """Keys with a score, or with the problem that there was, as `telling` tells it."""
        import pyarrow as pa

        answers = read_shards(self._files, named).to_pylist()
        rows = list(self._threads.map(self._mark, answers))
        return pa.Table.from_pylist(rows, schema=_score_schema())

    def _mark(self, row: dict[str, Any]) -> dict[str, Any]:
        key = {"query_id": row["query_id"], "arm": row["arm"], "sample": row["sample"]}
        query = Query(**{name: row[f"query_{name}"] for name in _QUERY})
        try:
            return key | asdict(self._scorer(str(query.metric)).score(query, row["response"]))
        except Exception as error:  # noqa: BLE001  here it is known which answer it was
            return key | {"problem": told(error, f"scoring {_answer(**key)}")}

    def _scorer(self, metric: str) -> Scorer:
        if metric not in self._scorers:
            self._scorers[metric] = make_scorer(metric)
        return self._scorers[metric]


def _answer(query_id: str, arm: str, sample: int) -> str:
    return f"that of {arm!r} to {query_id!r}" + (f" (sample {sample})" if sample else "")


def _answer_schema() -> pa.Schema:
    import pyarrow as pa

    texts = [*(f"query_{name}" for name in _QUERY), "arm", "response"]
    return pa.schema([(name, pa.large_string()) for name in texts] + [("sample", pa.int64())])


def _score_schema() -> pa.Schema:
    import pyarrow as pa

    texts = ("query_id", "arm", "name", "scorer", "version", "reason", "problem")
    numbers = [("sample", pa.int64()), ("value", pa.float64())]
    return pa.schema([(name, pa.large_string()) for name in texts] + numbers)
