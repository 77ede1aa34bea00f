"""Whether a candidate would do better than the router that decides, by the log of that router."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.errors import InputError, TableError
from fusionfactory.gateway.learning.evidence import aligned, choices, unseen
from fusionfactory.normal_text import normal_texts
from fusionfactory.off_policy import (
    BanditLog,
    Estimate,
    Support,
    calibrated_rewards,
    doubly_robust,
    ips,
    one_hot,
    snips,
    support,
)
from fusionfactory.policy import POINT

if TYPE_CHECKING:
    from collections.abc import Collection

    from fusionfactory.gateway.learning.evidence import Rated
    from fusionfactory.gateway.log.logged import Logged
    from fusionfactory.policy import Policy
    from fusionfactory.routers import Router
    from fusionfactory.types import BoolArray, FloatArray

__all__ = ["Comparison", "compare"]

_LEAST_TRIALS = 10
_MOST_ABSENT = 0.01


@dataclass(frozen=True)
class Comparison:
    """What a log says of a candidate against the incumbent, both without exploration.

    The gains are doubly robust, with 95 % intervals for the mean over all queries like the logged
    ones, were they all decided by the policy. Utility is quality less cost at the price below.

    Attributes:
        policy: Name of the trade-off.
        usd_per_point: What a point (.01) of quality is worth by the policy, at the incumbent's
            scale; None where cost does not count, 0 where quality does not.
        rows: Decisions that neither router may have learned from: those estimated on.
        passed_over: Other decisions, whose text one of the two was fitted on.
        agreement: Share of the rows on which both choose the same arm.
        utility: Gain that decides.
        quality: Gain in quality alone.
        cost_usd: Difference in USD per query; None where no cost is known.
        candidate: Mean utility of the candidate.
        incumbent: Mean utility of the incumbent.
        by_ips: The utility's gain again, by rewards alone.
        by_snips: And by rewards alone, self-normalised.
        support: Whether the log can tell.
        arms: Names that `support.absent` counts by.
    """

    policy: str
    usd_per_point: float | None
    rows: int
    passed_over: int
    agreement: float
    utility: Estimate
    quality: Estimate
    cost_usd: Estimate | None
    candidate: Estimate
    incumbent: Estimate
    by_ips: Estimate
    by_snips: Estimate
    support: Support
    arms: tuple[str, ...]

    @property
    def objections(self) -> tuple[str, ...]:
        """Why the candidate ought not to be promoted; empty where it ought to be."""
        found, seen = [], self.support
        if self.utility.low <= 0:
            verdict = "is a loss" if self.utility.high < 0 else "may be nothing"
            found.append(
                f"its gain, {self.utility.value:+.4f} ({self.utility.low:+.4f} to "
                f"{self.utility.high:+.4f}), {verdict}"
            )
        if seen.tried < _LEAST_TRIALS and self.agreement < 1:
            found.append(
                f"the log has {seen.tried} scored trials of what it would do differently, and "
                f"{_LEAST_TRIALS} are the least to judge by: log more, or explore more"
            )
        if seen.absent_share > _MOST_ABSENT:
            names = ", ".join(self.arms[i] for i in seen.absent)
            found.append(
                f"it chooses {names} on {seen.absent_share:.1%} of the queries, and the log never "
                "tried that: explore"
            )
        if not seen.weight_low <= 1 <= seen.weight_high:
            found.append(
                f"the weights average {seen.mean_weight:.2f} and should average 1: the log did not "
                "try what it would choose, or its probabilities are wrong"
            )
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values; infinities become null."""
        facts: dict[str, Any] = {k: v for k, v in asdict(self).items() if k != "arms"}
        facts["support"]["absent"] = [self.arms[i] for i in self.support.absent]
        facts |= {"warnings": self.support.warnings(), "objections": self.objections}
        return {key: _finite(value) for key, value in facts.items()}


def compare(
    logged: Logged,
    candidate: Rated,
    incumbent: Rated,
    policy: Policy,
    *,
    among: BoolArray | None = None,
    asked: Collection[str] | None = None,
) -> Comparison:
    """Estimates a candidate on the decisions that neither router may have learned from.

    Args:
        logged: Decisions of any routers, with the probabilities of their choices.
        candidate: The router to judge.
        incumbent: The router to judge it by.
        policy: That both decide by.
        among: (n,) the decisions to use at most, such as those that were held out; None for all.
        asked: Names of the arms that the gateway has; None for all that the routers know.

    Raises:
        TableError: No such decision is there, none of them is scored, or a router knows no arm of
            the gateway.
    """
    fresh = unseen(logged, candidate) & unseen(logged, incumbent)
    among = np.ones(len(logged), dtype=bool) if among is None else among
    fresh &= among
    if not fresh.any():
        msg = (
            f"none of {len(logged)} logged decisions is of a query that neither router was fitted "
            "on: wait for new ones"
        )
        raise TableError(msg)
    rows = np.nonzero(fresh)[0]
    texts = [logged.text[i] for i in rows]
    names = tuple(dict.fromkeys(
        [*logged.arms, *(arm.name for one in (candidate, incumbent) for arm in one.router.arms_)]
    ))  # fmt: skip
    told = [one.router.estimate(texts) for one in (candidate, incumbent)]
    columns = [np.array([names.index(arm) for arm in estimates.arms]) for estimates in told]
    targets = [
        one_hot(places[choices(one.router, estimates, policy, asked)], len(names))
        for one, estimates, places in zip((candidate, incumbent), told, columns, strict=True)
    ]
    gain, price = _worth(policy, incumbent.router, told[1].task_weights, len(rows))
    quality, cost = logged.reward[rows], logged.cost_usd[rows]
    guess = aligned(told[0].quality, told[0].arms, told[1].quality, told[1].arms, names)
    guess_cost = aligned(told[0].cost_usd, told[0].arms, told[1].cost_usd, told[1].arms, names)
    groups = np.unique(normal_texts(texts), return_inverse=True)[1]

    def log_of(reward: FloatArray) -> BanditLog:
        chosen, propensity = logged.chosen[rows], logged.propensity[rows]
        return BanditLog(len(names), chosen, propensity, reward, groups=groups)

    def gained(reward: FloatArray, guessed: FloatArray) -> Estimate:
        log = log_of(reward)
        return doubly_robust(log, targets[0], calibrated_rewards(log, guessed), targets[1])

    try:
        log = log_of(_utility(gain, price, quality, cost))
    except InputError as error:
        raise TableError(error.message, field=error.field) from None
    model = calibrated_rewards(log, _utility(gain, price, guess, guess_cost))
    return Comparison(
        policy=policy.name,
        usd_per_point=None if not price else POINT * gain / price,
        rows=len(rows),
        passed_over=int(among.sum()) - len(rows),
        agreement=float((targets[0] * targets[1]).sum(axis=1).mean()),
        utility=doubly_robust(log, targets[0], model, targets[1]),
        quality=gained(quality, guess),
        cost_usd=None if np.isnan(cost).all() else gained(cost, guess_cost),
        candidate=doubly_robust(log, targets[0], model),
        incumbent=doubly_robust(log, targets[1], model),
        by_ips=ips(log, *targets),
        by_snips=snips(log, *targets),
        support=support(log, *targets),
        arms=names,
    )


def _worth(
    policy: Policy, router: Router, task_weights: FloatArray | None, n: int
) -> tuple[float, float]:
    """Utility of a unit of quality, and of a USD that is not spent; the former 1 or 0."""
    gain, price = policy.alpha, policy.beta
    if policy.normalised:
        slopes = router.normaliser_.slopes(task_weights, n)
        gain, price = gain * float(slopes[0].mean()), price * float(slopes[1].mean())
    return (1.0, price / gain) if gain > 0 else (0.0, 1.0)


def _utility(gain: float, price: float, quality: FloatArray, cost: FloatArray) -> FloatArray:
    """Quality less cost at its price; NaN where a part that counts is unknown."""
    worth = gain * quality if gain else np.zeros_like(quality)
    return np.asarray(worth - price * cost if price else worth)


def _finite(value: Any) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
