"""The evaluation protocol on a table that memory does not hold.

It is the protocol of `evaluation`: the same split by groups of near-duplicates, the same baselines,
rows, curves and paired intervals. What differs is told in `Evaluation.table["streamed"]`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.contest import Contest, baseline_entries
from fusionfactory.encoded import Encoded
from fusionfactory.errors import PolicyError
from fusionfactory.evaluation import DEFAULT_SCENARIOS, Evaluation
from fusionfactory.facts import details
from fusionfactory.intervals import Bootstrap
from fusionfactory.leaderboard import leaderboard
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.policy import Policy
from fusionfactory.routers import make_router
from fusionfactory.steps import Steps
from fusionfactory.streamed.facts import large_facts
from fusionfactory.streamed.fitting import fit_large, learns_from
from fusionfactory.streamed.held import TEST_CELLS, Held, buckets
from fusionfactory.streamed.scratch import scratch_folder
from fusionfactory.streamed.subject import Subject
from fusionfactory.streamed.training import SAMPLE_QUERIES, Training
from fusionfactory.trial import run_trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from fusionfactory.contest import Entry
    from fusionfactory.large import LargeTable
    from fusionfactory.routers import Queries
    from fusionfactory.steps import Progress
    from fusionfactory.types import IntArray

__all__ = ["STREAMED", "evaluate_large"]

STREAMED = ("ridge", "clusters", "elo", "task")
"""What is compared by default: the routers that learn from statistics over the whole table."""


def evaluate_large(
    table: LargeTable,
    routers: Sequence[str] = STREAMED,
    *,
    scenarios: Sequence[str] = DEFAULT_SCENARIOS,
    seeds: int = 1,
    first_seed: int = 0,
    encoder: str = "text",
    test_share: float = 0.3,
    min_coverage: float = MIN_COVERAGE,
    draws: int = 1000,
    sample: int = SAMPLE_QUERIES,
    cells: int = TEST_CELLS,
    progress: Progress | None = None,
) -> Evaluation:
    """Fits and compares routers by the protocol; see `evaluation.evaluate`.

    In memory there are at a time: one block of the table, the sample and what a method needs to
    learn from it, the cells tested on, some copies of them, and 24 bytes per query. On disk, in the
    cache folder while it runs: 4 d bytes per query, for every encoder with d columns.

    Args:
        table: Outcomes on disk.
        routers: See `evaluate`.
        scenarios: See `evaluate`.
        seeds: See `evaluate`.
        first_seed: See `evaluate`.
        encoder: See `evaluate`; one that learns from texts learns from the sample's.
        test_share: See `evaluate`.
        min_coverage: See `evaluate`.
        draws: See `evaluate`.
        sample: Training queries that are held in memory, per seed.
        cells: Test outcomes that are held in memory, all seeds together. Where a test side has
            more, routers are tested on as many of its queries, drawn at random.
        progress: See `evaluate`.

    Raises:
        TableError: See `evaluate`.
        PolicyError: See `evaluate`.
        UnknownNameError: See `evaluate`.
    """
    if seeds < 1:
        msg = f"needs at least one seed, got {seeds}"
        raise PolicyError(msg, field="seeds")
    for spec in routers:
        make_router(spec, encoder=encoder)
    subject = Subject.of(table, [Policy.parse(name) for name in scenarios], min_coverage)
    steps = Steps(progress, seeds * len(subject.kinds()) * len(routers))
    with scratch_folder() as folder:
        splits = [
            _Split.of(subject, seed, test_share, sample, cells // seeds, folder / str(seed))
            for seed in range(first_seed, first_seed + seeds)
        ]
        facts = large_facts(subject, splits[0].training, splits[0].held, routers, encoder)
        count, rows = buckets([split.held for split in splits])
        contests: dict[bool, list[Contest]] = {kind: [] for kind, _ in subject.kinds()}
        for split, index in zip(splits, rows, strict=True):
            trials = _Trials(subject, split, index, encoder, steps)
            for kind, policies in subject.kinds():
                contests[kind].append(trials.held(routers, kind, policies))
            shutil.rmtree(split.folder, ignore_errors=True)
    bootstrap = Bootstrap(np.arange(count), draws)
    boards = {p.name: leaderboard(contests[p.judge], p, bootstrap) for p in subject.policies}
    first = next(iter(contests))
    told = details((_judged(subject) if first else subject.table).sums, contests[first])
    facts |= {"seeds": seeds, "test_share": test_share}
    return Evaluation(facts, boards, subject.skipped, told)


def _judged(subject: Subject) -> LargeTable:
    return subject.table.select_arms(subject.judged_arms).judged()


@dataclass(frozen=True)
class _Split:
    """Both sides of one split, and the folder where their encoded queries are."""

    seed: int
    training: Training
    held: Held
    folder: Path

    @classmethod
    def of(
        cls, subject: Subject, seed: int, test: float, sample: int, cells: int, folder: Path
    ) -> Self:
        split = subject.table.split(test=test, seed=seed)
        return cls(
            seed,
            Training.of(split.train, folder / "train", queries=sample),
            Held.of(split.test, folder / "test", cells=cells),
            folder,
        )


@dataclass(frozen=True)
class _Trials:
    """Trials of routers on one split."""

    subject: Subject
    split: _Split
    rows: IntArray
    encoder: str
    steps: Steps

    def held(self, routers: Sequence[str], judged: bool, policies: Sequence[Policy]) -> Contest:
        """Tries every router on one kind of quality."""
        training, held = self.split.training, self.split.held
        if judged:
            arms = self.subject.judged_arms
            training, held = training.judged(arms), held.judged(arms)
        sums = training.table.sums
        contest = Contest(
            seed=self.split.seed,
            train=training.sample,
            test=held.table,
            test_rows=self.rows,
            normaliser=sums.normaliser(),
            best_single=sums.best_single(),
            cheapest=sums.cheapest(),
            sums=sums,
        )
        contest.entries.update(baseline_entries(contest, policies))
        for spec in routers:
            self.steps.next(f"seed {self.split.seed}: {spec}")
            contest.entries[spec] = self._tried(spec, contest, training, held, policies)
        return contest

    def _tried(
        self,
        spec: str,
        contest: Contest,
        training: Training,
        held: Held,
        policies: Sequence[Policy],
    ) -> Entry:
        router = make_router(spec, encoder=self.encoder, seed=self.split.seed)
        chunks: Iterable[Queries] = held
        if router.uses_features:
            name = str(router.encoder)
            features = training.features(name)
            chunks = held.features(name, features.encoder)
            contest.encode_us_per_query[name] = chunks.us_per_query
            if learns_from(router) == "sample":
                encoded = Encoded(features.encoder, training.sample.texts)
                router = type(router)(**router.params() | {"encoder": encoded})
            else:
                features.us_per_query  # noqa: B018  encodes, so that it is not timed with the fit
        if learns_from(router) == "statistics":
            # Makes what all of them share, so that it is not timed with the first one's fit.
            training.stream(router.encoder if router.uses_features else None)
        fit = partial(fit_large, router, training)
        return replace(run_trial(router, contest, policies, fit, chunks), name=spec)
