"""Trials of routers on the splits of a table: one after the other here, or by another engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from fusionfactory.contest import Contest, Entry, baseline_entries
from fusionfactory.encoded import Encoded
from fusionfactory.encoders import Encoder, make_encoder
from fusionfactory.robustness import Exam, examine
from fusionfactory.routers import make_router
from fusionfactory.steps import Steps
from fusionfactory.trial import run_router

if TYPE_CHECKING:
    from fusionfactory.policy import Policy
    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable

__all__ = ["Heat", "Trials", "Tried", "held", "in_turn", "try_router"]


@dataclass(frozen=True)
class Heat:
    """One split of a table, and how routers are tried on it.

    Attributes:
        table: Outcomes.
        seed: Of the split and of the routers.
        test_share: Share of queries tested on.
        policies: To choose by.
        encoder: Default encoder of the routers that take one.
        exam: Policy under which edits and triggers are tried; None for no such exam.
    """

    table: OutcomeTable
    seed: int
    test_share: float
    policies: tuple[Policy, ...]
    encoder: str
    exam: Policy | None = None

    @cached_property
    def contest(self) -> Contest:
        """The split, without entries at first; the same for the same attributes."""
        return Contest.of(self.table, self.seed, self.test_share)

    def router(self, spec: str) -> Router:
        """An unfitted router."""
        return make_router(spec, encoder=self.encoder, seed=self.seed)

    def encoder_of(self, spec: str) -> str | None:
        """Specification of the encoder whose rows a router takes, if it takes any."""
        router = self.router(spec)
        return str(router.encoder) if router.uses_features else None

    def encoded(self, encoder: str | Encoder) -> Encoded:
        """The table's queries by an encoder, which is fitted on the train side."""
        return Encoded(make_encoder(encoder).fit(self.contest.train.texts), self.table.texts)


@dataclass(frozen=True)
class Tried:
    """What came out of one trial.

    Attributes:
        entry: What the router did on the test side.
        encode_us: Name of the router's encoder to microseconds per distinct text.
        exam: What edits and triggers do to it, where asked for.
    """

    entry: Entry
    encode_us: dict[str, float]
    exam: Exam | None


Trials: TypeAlias = Callable[
    [Sequence[Heat], Sequence[str], Steps], Generator[tuple[tuple[int, int], Tried]]
]
"""Tries every router, by its specification, on every heat, in any order.

Gives the places of heat and router in their sequences, and what came out.
"""


def try_router(heat: Heat, spec: str, encoded: Encoded | None) -> Tried:
    """Fits a router on a heat's train side and asks it about the test side.

    Args:
        heat: The split.
        spec: Of the router.
        encoded: Rows of the encoder that `Heat.encoder_of` names.
    """
    contest, router, features = heat.contest, heat.router(spec), None
    encode_us: dict[str, float] = {}
    if encoded is not None:
        encode_us[str(router.encoder)] = encoded.us_per_query
        router = type(router)(**router.params() | {"encoder": encoded})
        features = encoded.encode(contest.test.texts)
    entry = replace(run_router(router, contest, heat.policies, features), name=spec)
    exam = None
    if heat.exam is not None:
        if router.policy_bound:
            router.fit(contest.train, heat.exam)
        sides = (contest.train, contest.test)
        exam = examine(router, *sides, heat.exam, name=spec, seed=heat.seed)
    return Tried(entry, encode_us, exam)


def in_turn(
    heats: Sequence[Heat], specs: Sequence[str], steps: Steps
) -> Generator[tuple[tuple[int, int], Tried]]:
    """One trial after the other, in this process; see `Trials`."""
    for place, heat in enumerate(heats):
        encoded: dict[str, Encoded] = {}
        for number, spec in enumerate(specs):
            steps.next(f"seed {heat.seed}: {spec}")
            name = heat.encoder_of(spec)
            if name is not None and name not in encoded:
                encoded[name] = heat.encoded(name)
            yield (place, number), try_router(heat, spec, encoded[name] if name else None)


def held(
    heats: Sequence[Heat], specs: Sequence[str], steps: Steps, trials: Trials
) -> tuple[list[Contest], list[Exam]]:
    """Holds all trials.

    Returns:
        The contest of every heat, with the baselines' and the routers' entries in the order of the
        specifications, and the exams.
    """
    contests = [heat.contest for heat in heats]
    for heat in heats:
        heat.contest.entries.update(baseline_entries(heat.contest, heat.policies))
    with closing(trials(heats, specs, steps)) as results:
        found = dict(results)
    exams = []
    for (place, number), tried in sorted(found.items(), key=lambda item: item[0]):
        contests[place].entries[specs[number]] = tried.entry
        contests[place].encode_us_per_query.update(tried.encode_us)
        exams += [tried.exam] if tried.exam is not None else []
    return contests, exams
