"""Alarms: what shows that routing has gone wrong, with what to do about it.

Each looks at the latest decisions of the router in force, and none sounds for what chance may do:
shares, means and indexes have to be beyond their limit with 95 % confidence or more.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from fusionfactory.robustness.collapse import spread

if TYPE_CHECKING:
    from fusionfactory.gateway.log.decided import Decided
    from fusionfactory.gateway.log.traffic import Traffic
    from fusionfactory.serve_settings import AlarmSettings
    from fusionfactory.types import FloatArray

__all__ = ["Alarm", "AlarmKind", "calibration", "check", "drift", "entropy", "psi", "top_share"]

AlarmKind: TypeAlias = Literal["top_share", "entropy", "calibration", "psi"]

_FEWEST = 50
_FEWEST_SCORED = 30
_CONFIDENCE = 0.95
_BINS = 10
_BY_CHANCE = 27.88
"""The 99.9 % quantile of chi-square with 9 degrees of freedom: see `drift`."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that has gone wrong.

    Attributes:
        kind: Which limit of `[serve.alarms]` is passed.
        message: What is wrong and what to do.
        value: What was found.
        limit: The limit.
        arm: The arm that it is about; None for all of them.
    """

    kind: AlarmKind
    message: str
    value: float
    limit: float
    arm: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def check(traffic: Traffic, settings: AlarmSettings) -> list[Alarm]:
    """What has gone wrong with the router that decided last.

    Args:
        traffic: Of the gateway.
        settings: The limits, and how many decisions are looked at.

    Raises:
        StoreError: The store cannot be read.
    """
    latest = traffic.decided(settings.window)
    if latest is None:
        return []
    collapsed = top_share(latest, settings.top_share) or entropy(latest, settings.entropy)
    first = traffic.decided(settings.window, latest.router, first=True)
    found = [
        collapsed,
        calibration(latest, settings.calibration),
        None if first is None else drift(first, latest, settings.psi),
    ]
    return [alarm for alarm in found if alarm is not None]


def top_share(latest: Decided, limit: float) -> Alarm | None:
    """Whether one arm gets nearly everything: its share is beyond the limit with 95 % confidence.

    Args:
        latest: Decisions.
        limit: Of the share.
    """
    if not len(latest):
        return None
    found = spread(latest.chosen, len(latest.arms))
    if found.collapsed(top_share=limit, entropy=0.0) is None:
        return None
    n, share, arm = found.decisions, found.share, latest.arms[found.top]
    msg = (
        f"{arm} got {share:.1%} of the latest {n} decisions of router {latest.router}: routing has "
        f"collapsed to one arm. If {arm} is best at every question, ask for it by name and save "
        "the routing; else see whether its price or the policy has changed, try other arms with "
        '[serve.exploration] method = "epsilon", and fit again with fusionfactory learn'
    )
    return Alarm("top_share", msg, share, limit, arm)


def entropy(latest: Decided, limit: float) -> Alarm | None:
    """Whether few of the arms get nearly everything, by the entropy of their shares.

    The entropy is divided by that of equal shares, and has to be below the limit by its standard
    error (delta method) times 1.64.

    Args:
        latest: Decisions.
        limit: Of the normalised entropy.
    """
    if not len(latest):
        return None
    found = spread(latest.chosen, len(latest.arms))
    if found.collapsed(top_share=math.inf, entropy=limit) is None:
        return None
    n, arms, normal = found.decisions, found.arms, found.entropy
    idle = [latest.arms[column] for column in found.idle]
    unused = f"; never chosen: {', '.join(idle)}" if idle else ""
    msg = (
        f"the latest {n} decisions of router {latest.router} hardly differ: their entropy is "
        f"{normal:.2f} of that of equal shares over {arms} arms{unused}. Take out arms that are "
        "not worth having, or try them with [serve.exploration] and fit again with fusionfactory "
        "learn"
    )
    return Alarm("entropy", msg, normal, limit)


def calibration(latest: Decided, limit: float) -> Alarm | None:
    """Whether answers are better or worse than expected, over all arms or for one of them.

    The interval of the mean difference has to lie beyond the limit. It is a 95 % interval for all
    arms together, so the arms share its error (Bonferroni).

    Args:
        latest: Decisions, some of them scored.
        limit: Of the difference.
    """
    known = ~np.isnan(latest.expected) & ~np.isnan(latest.reward)
    differences = (latest.reward - latest.expected)[known]
    chosen = latest.chosen[known]
    groups: list[tuple[str | None, FloatArray]] = [(None, differences)]
    groups += [(name, differences[chosen == i]) for i, name in enumerate(latest.arms)]
    groups = [(name, values) for name, values in groups if len(values) >= _FEWEST_SCORED]
    if not groups:
        return None
    z = NormalDist().inv_cdf(1 - (1 - _CONFIDENCE) / 2 / len(groups))
    sure = [(_beyond(values, z), name, values) for name, values in groups]
    beyond, arm, values = max(sure, key=lambda item: item[0])
    if beyond <= limit:
        return None
    mean = float(values.mean())
    who = "answers" if arm is None else f"answers of {arm}"
    way = "worse" if mean < 0 else "better"
    msg = (
        f"{who} are {way} than router {latest.router} expects, by {abs(mean):.2f} on average over "
        f"{len(values)} scored answers (certainly by {beyond:.2f}). See whether the model behind "
        "an arm or the judge has changed, then fit again on what the gateway has logged: "
        "fusionfactory learn"
    )
    return Alarm("calibration", msg, mean, limit, arm)


def _beyond(differences: FloatArray, z: float) -> float:
    """How far from 0 the mean difference is at least; negative where 0 is in the interval."""
    half = z * float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return abs(float(differences.mean())) - half


def drift(first: Decided, latest: Decided, limit: float) -> Alarm | None:
    """Whether the questions have changed since the router began, by what it expects of them.

    Without a change, the index is about (1/n + 1/m) times a chi-square of one degree of freedom
    less than there are bins (Yurdakul and Naranjo 2020, Statistical properties of the population
    stability index); it has to be beyond the 99.9 % quantile of that, too.

    Args:
        first: The router's first decisions.
        latest: Its latest; those of the first that are among them do not count as such.
        limit: Of the population stability index.
    """
    before = first.level[first.at < latest.at.min(initial=math.inf)]
    before, now = (values[~np.isnan(values)] for values in (before, latest.level))
    if min(len(before), len(now)) < _FEWEST:
        return None
    value = psi(before, now)
    if value <= max(limit, _BY_CHANCE * (1 / len(before) + 1 / len(now))):
        return None
    way = "harder" if now.mean() < before.mean() else "easier"
    msg = (
        f"the questions have changed since router {latest.router} began: it expects a quality of "
        f"{now.mean():.2f}, then {before.mean():.2f}, so they seem {way} (population stability "
        f"index {value:.2f} over {len(now)} decisions). It was fitted on others: fit again on what "
        "the gateway has logged with fusionfactory learn, and judge a share of the answers by "
        "[serve.judge]"
    )
    return Alarm("psi", msg, value, limit)


def psi(before: FloatArray, now: FloatArray, bins: int = _BINS) -> float:
    """Population stability index of two samples, over bins that hold equally many of the first.

    Half an observation is added to every bin, so that an empty one counts for something finite.

    Args:
        before: (n,) values.
        now: (m,) values.
        bins: How many; fewer where values are equal.
    """
    edges = np.unique(np.quantile(before, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = []
    for values in (before, now):
        counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    was, is_ = shares
    return float(((is_ - was) * np.log(is_ / was)).sum())
