"""Triggers: text that sends whatever it is added to to one arm, searched on train texts.

The confounder gadgets of Shafran et al. (2025, Rerouting LLM routers, arXiv 2501.01818), found by a
greedy search over pieces of real questions. The attacker asks the router as often as it likes
and sees its estimates.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from fusionfactory.errors import ConfigError, TableError
from fusionfactory.intervals import Bootstrap
from fusionfactory.robustness.consistency import decided, shift

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.policy import Policy
    from fusionfactory.robustness.consistency import Shift
    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable

__all__ = ["Attack", "Place", "Trigger", "attack", "dearest", "find_trigger"]

Place: TypeAlias = Literal["suffix", "prefix"]

_WORD = re.compile(r"\S+")
_READ = 8000
_LEAST_GAIN = 1e-9


@dataclass(frozen=True, slots=True)
class Trigger:
    """Text that sends queries to one arm.

    Attributes:
        text: To be added.
        target: Name of the arm.
        place: Whether it goes after or before the query.
        found_on: Share of the search's queries that it sent to the target.
    """

    text: str
    target: str
    place: Place
    found_on: float

    def added(self, texts: Sequence[str]) -> list[str]:
        """The texts with the trigger."""
        if not self.text:
            return list(texts)
        if self.place == "prefix":
            return [f"{self.text}\n{text}" for text in texts]
        return [f"{text}\n{self.text}" for text in texts]


@dataclass(frozen=True, slots=True)
class Attack:
    """What a trigger does on queries that its search has not seen.

    Attributes:
        trigger: The trigger.
        already: Share of the queries that go to the target without it.
        success: Share of the other queries that go there with it; 0 where there are no others.
        shift: Decisions flipped, quality lost and cost added over all queries.
    """

    trigger: Trigger
    already: float
    success: float
    shift: Shift

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def find_trigger(
    router: Router,
    texts: Sequence[str],
    policy: Policy,
    target: str,
    *,
    place: Place = "suffix",
    words: int = 10,
    rounds: int = 3,
    candidates: int = 40,
    queries: int = 40,
    seed: int = 0,
) -> Trigger:
    """Searches for text that sends queries to the target.

    Pieces are runs of words of the texts, half of them of texts that the router sends to the target
    by itself. Each round adds the piece that sends the most queries there; among equals, the one
    by which the target gains most utility over the best other arm. It ends where no piece helps.

    Args:
        router: Fitted.
        texts: Training texts, to take pieces from and to try them on.
        policy: To choose by.
        target: Name of the arm.
        place: After or before the query.
        words: Length of the trigger at most; the published gadgets have ten tokens.
        rounds: Pieces that it is made of at most.
        candidates: Pieces tried in a round.
        queries: Texts that they are tried on, none of which goes to the target by itself.
        seed: Of the samples.

    Raises:
        ConfigError: A number is below 1.
        TableError: The router does not know the target.
    """
    for name, value in (
        ("words", words),
        ("rounds", rounds),
        ("candidates", candidates),
        ("queries", queries),
    ):
        if value < 1:
            msg = f"must be at least 1, got {value}"
            raise ConfigError(msg, field=name)
    column = _column(router, target)
    rng = np.random.default_rng(seed)
    sample = [texts[i] for i in rng.permutation(len(texts))[: 10 * (queries + candidates)]]
    there = decided(router, sample, policy) == column
    victims = [t for t, at in zip(sample, there, strict=True) if not at][:queries]
    best = Trigger("", target, place, 0.0)
    if not victims:
        return best
    longest = -(-words // rounds)
    friends = [t for t, at in zip(sample, there, strict=True) if at]
    tried = _pieces(friends, candidates // 2, longest, rng)
    tried += _pieces(sample, candidates - len(tried), longest, rng)
    reached = _reach(router, best.added(victims), policy, column)
    for _ in range(rounds):
        longer = [f"{best.text} {piece}".strip() for piece in tried if piece not in best.text]
        options = [
            Trigger(text, target, place, 0.0) for text in longer if len(text.split()) <= words
        ]
        reaches = [_reach(router, option.added(victims), policy, column) for option in options]
        if not reaches or max(reaches) <= (reached[0], reached[1] + _LEAST_GAIN):
            break
        reached = max(reaches)
        best = Trigger(options[reaches.index(reached)].text, target, place, reached[0])
    return best


def _column(router: Router, target: str) -> int:
    names = [arm.name for arm in router.arms_]
    if target not in names:
        msg = f"unknown arm {target!r}; the router knows {', '.join(names)}"
        raise TableError(msg, field="target")
    return names.index(target)


def _pieces(texts: Sequence[str], count: int, longest: int, rng: np.random.Generator) -> list[str]:
    """At most so many runs of words, each of another text."""
    found: dict[str, None] = {}
    for i in rng.permutation(len(texts)):
        if len(found) == count:
            break
        words = list(_WORD.finditer(texts[i][:_READ]))
        if words:
            first = int(rng.integers(max(len(words) - longest, 0) + 1))
            last = min(first + longest, len(words)) - 1
            found[texts[i][words[first].start() : words[last].end()]] = None
    return list(found)


def _reach(
    router: Router, texts: Sequence[str], policy: Policy, column: int
) -> tuple[float, float]:
    """Share of the texts that go to the arm, and its mean lead in utility."""
    estimates = router.estimate(texts)
    utility = policy.utility(estimates, router.normaliser_)
    lead = utility[:, column] - np.delete(utility, column, axis=1).max(axis=1)
    share = (router.choose(estimates, policy) == column).mean()
    return float(share), float(np.nan_to_num(lead, neginf=-1.0).mean())


def attack(
    router: Router, table: OutcomeTable, policy: Policy, trigger: Trigger, *, draws: int = 1000
) -> Attack:
    """Adds the trigger to held-out queries.

    Args:
        router: Fitted.
        table: Queries with the outcomes of at least the router's arms.
        policy: To choose by.
        trigger: Found on other queries.
        draws: Bootstrap resamples.

    Raises:
        TableError: The router does not know the target, or the table lacks an arm of the router.
    """
    column = _column(router, trigger.target)
    before = decided(router, table.texts, policy)
    after = decided(router, trigger.added(table.texts), policy)
    table = table.select_arms([arm.name for arm in router.arms_])
    others = before != column
    success = float((after[others] == column).mean()) if others.any() else 0.0
    moved = shift("trigger", table, before, after, Bootstrap(table.groups(), draws))
    return Attack(trigger, float(1 - others.mean()), success, moved)


def dearest(router: Router, texts: Sequence[str]) -> str:
    """The arm that the router expects to be the dearest on these texts; what an attacker wants.

    The arm of the highest quality where no cost is known.
    """
    estimates = router.estimate(texts)
    cost = np.nan_to_num(estimates.cost_usd, nan=-1.0).mean(axis=0)
    if (cost < 0).all():
        cost = estimates.quality.mean(axis=0)
    return estimates.arms[int(cost.argmax())]
