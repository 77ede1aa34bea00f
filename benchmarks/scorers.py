"""The text scorers against published scores: the same responses, scored again.

python benchmarks/scorers.py DATA_DIR [--disagreements FILE]

For every task and model: our accuracy, the published one and in how many responses the two differ.
ZeroEval takes for an answer what stands in a JSON field `"answer"`; ours take an answer in prose,
too. Where the source has that rule, `field` is our accuracy with responses without the field
counted as wrong. A response is clear where the publisher's rule and ours have the same to read: one
number in that field, or the same option wherever it says "answer". PASS if on the clear responses
no model's accuracy differs by more than half a point. Elsewhere the rules differ on purpose, and
the disagreements are there to be read.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.scorers import make_scorer
from fusionfactory.types import Query

if TYPE_CHECKING:
    from collections.abc import Collection

TOLERANCE = 0.5
"""Points of accuracy."""
FIELD = re.compile(r'"answer": *(?:"([^"\n]*)"|(-?[\d.,]+))')
NUMBER = re.compile(r"[^\d\n]{0,40}?-?\d[\d,]*(?:\.\d+)?[^\d\n]{0,40}")
HAS_FIELD = re.compile(r'"answer"\s*:\s*\S')
PLAIN = re.compile(r"\$?-?\d[\d,]*(?:\.\d+)?\$?")
LETTER = re.compile(r"answer is \(?([A-J])(?:\)(?! (?:and|or) \()|\b(?![,\w)]))")


@dataclass(frozen=True)
class Job:
    """One published task and the scorer that should reproduce its scores."""

    file: str
    task: str
    metric: str


JOBS = (
    Job("zeroeval", "gsm8k", "number"),
    Job("zeroeval", "math_level5", "number"),
    Job("zeroeval", "math_level5", "math"),
    Job("mmlu_pro_dev", "mmlu_pro", "multiple_choice"),
)


@dataclass
class Tally:
    """Sums over one model's responses, all and the clear ones."""

    count: int = 0
    ours: float = 0.0
    published: float = 0.0
    disagreements: int = 0
    field_ours: float = 0.0
    clear: int = 0
    clear_ours: float = 0.0
    clear_published: float = 0.0

    @property
    def difference(self) -> float:
        """Points of accuracy, ours less the published."""
        return 100 * (self.ours - self.published) / self.count

    @property
    def field_difference(self) -> float:
        """The same with responses without the JSON field counted as wrong."""
        return 100 * (self.field_ours - self.published) / self.count

    @property
    def clear_difference(self) -> float:
        """The same on the clear responses."""
        return 100 * (self.clear_ours - self.clear_published) / max(self.clear, 1)

    def add(self, ours: float, published: float, *, clear: bool, in_field: bool) -> None:
        """Counts one response."""
        self.count += 1
        self.ours += ours
        self.published += published
        self.disagreements += ours != published
        self.field_ours += ours * in_field
        self.clear += clear
        self.clear_ours += ours * clear
        self.clear_published += published * clear


@dataclass(frozen=True)
class Disagreement:
    """One response that we score otherwise than was published."""

    task: str
    metric: str
    model: str
    query: str
    target: str
    published: float
    ours: float
    reason: str | None
    clear: bool
    response: str


@dataclass
class Comparison:
    """What came out of one job."""

    job: Job
    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    disagreements: list[Disagreement] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every model's clear responses score as published, within the tolerance."""
        return all(abs(tally.clear_difference) <= TOLERANCE for tally in self.tallies.values())


def is_clear(task: str, metric: str, response: str) -> bool:
    """Whether the publisher's rule and ours have the same to read in a response."""
    if metric == "multiple_choice":
        letters = LETTER.findall(response)
        return len(set(letters)) == 1 and response.lower().count("answer") == len(letters)
    fields = [quoted or bare for quoted, bare in FIELD.findall(response)]
    form = NUMBER if task == "gsm8k" else PLAIN
    return len(fields) == 1 and form.fullmatch(fields[0]) is not None


def models_of(folder: Path, job: Job) -> list[str]:
    """The models of a job, in order."""
    table = pl.read_parquet(folder / f"{job.file}.parquet", columns=["task_name", "llm"])
    return sorted(table.filter(pl.col("task_name") == job.task)["llm"].unique())


def compare(folder: Path, job: Job, models: Collection[str] | None = None) -> Comparison:
    """Scores the published responses of a job again, of these models or of all."""
    table = pl.read_parquet(folder / f"{job.file}.parquet").filter(pl.col("task_name") == job.task)
    if models is not None:
        table = table.filter(pl.col("llm").is_in(list(models)))
    scorer = make_scorer(job.metric)
    found = Comparison(job)
    start = time.perf_counter()
    for row in table.iter_rows(named=True):
        query = Query(row["task_id"], row["query"], target=row["ground_truth"])
        response, published = row["response"] or "", row["performance"]
        score = scorer.score(query, response)
        clear = is_clear(job.task, job.metric, response)
        in_field = job.file != "zeroeval" or HAS_FIELD.search(response) is not None
        found.tallies[row["llm"]].add(score.value, published, clear=clear, in_field=in_field)
        if score.value != published:
            found.disagreements.append(
                Disagreement(
                    job.task, job.metric, row["llm"], query.id, row["ground_truth"], published,
                    score.value, score.reason, clear, response,
                )
            )  # fmt: skip
    found.seconds = time.perf_counter() - start
    return found


def show(found: Comparison) -> None:
    """Prints the table of one job and its verdict."""
    responses = sum(tally.count for tally in found.tallies.values())
    print(
        f"\n{found.job.task} by {found.job.metric}: {responses} responses in {found.seconds:.1f} s"
    )
    print(f"{'model':32} {'n':>5} {'ours':>6} {'publ.':>6} {'diff':>6} {'differ':>6} "
          f"{'field':>6} {'clear':>6} {'diff':>6}")  # fmt: skip
    for model, tally in sorted(found.tallies.items()):
        print(
            f"{model[:32]:32} {tally.count:5} {100 * tally.ours / tally.count:6.2f} "
            f"{100 * tally.published / tally.count:6.2f} {tally.difference:+6.2f} "
            f"{tally.disagreements:6} {tally.field_difference:+6.2f} "
            f"{tally.clear:6} {tally.clear_difference:+6.2f}"
        )
    near = sum(abs(tally.difference) <= TOLERANCE for tally in found.tallies.values())
    by_rule = sum(abs(tally.field_difference) <= TOLERANCE for tally in found.tallies.values())
    clear = sum(item.clear for item in found.disagreements)
    clear_responses = sum(tally.clear for tally in found.tallies.values())
    print(
        f"disagreements: {len(found.disagreements)} of {responses}, {clear} of {clear_responses} "
        f"clear ones; {near} of {len(found.tallies)} models within {TOLERANCE} on all responses, "
        f"{by_rule} by the source's rule"
    )
    print("PASS" if found.passed else "FAIL", f"(clear responses, every model: {TOLERANCE} points)")


def main() -> None:
    """Runs every job and exits with 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--disagreements", type=Path, help="write them here, as JSON lines")
    options = parser.parse_args()
    results = [compare(options.data_dir, job) for job in JOBS]
    for found in results:
        show(found)
    if options.disagreements:
        lines = [json.dumps(asdict(item)) for found in results for item in found.disagreements]
        options.disagreements.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(not all(found.passed for found in results))


if __name__ == "__main__":
    main()
