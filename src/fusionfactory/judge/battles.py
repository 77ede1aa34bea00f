"""What position-swapped comparisons come to: wins, position bias, Bradley-Terry ratings."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.intervals import Bootstrap
from fusionfactory.judge.pairwise import PAIR_PREFIX, by_query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.store import Store
    from fusionfactory.types import FloatArray, Outcome

__all__ = ["Battles", "PairReport", "Rating", "pair_report", "ratings"]

_TIE = 0.5
_ELO_PER_LOG_ODDS = 400.0 / math.log(10.0)
_ELO_MEAN = 1000.0
_PRIOR_GAMES = 1.0
_ROUNDS = 200
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Battles:
    """One arm against another. A win counts only where both orders agree; else it is a tie.

    Attributes:
        arm: The one.
        other: The other.
        n: Pairs judged both ways round.
        wins: Of the one.
        losses: Of the one.
        ties: Ties, and verdicts that followed the position.
        win_rate: (wins + ties / 2) / n.
        ci95: Its bootstrap interval over queries.
    """

    arm: str
    other: str
    n: int
    wins: int
    losses: int
    ties: int
    win_rate: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Rating:
    """An arm's place in the table of all battles.

    Attributes:
        arm: Its name.
        elo: Bradley-Terry strength on Elo's scale, mean 1,000; drawn to the mean by one tied game.
        n: Pairs it was in.
        win_rate: (wins + ties / 2) / n.
    """

    arm: str
    elo: float
    n: int
    win_rate: float


@dataclass(frozen=True)
class PairReport:
    """All comparisons of one judge under one version of the prompt.

    Attributes:
        judge: Its name.
        version: Of the prompt.
        n: Pairs judged both ways round.
        half: Pairs judged one way round only, which count for nothing else.
        flipped: Share of the pairs whose two verdicts contradict each other: the position decides.
        first: Share of the pairs in which whatever stood first won both times.
        second: Likewise second.
        battles: Arm by arm.
        ratings: Best first.
    """

    judge: str | None
    version: str | None
    n: int
    half: int
    flipped: float
    first: float
    second: float
    battles: tuple[Battles, ...]
    ratings: tuple[Rating, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, null for what is undefined."""
        content = asdict(self)
        for name in ("flipped", "first", "second"):
            content[name] = None if math.isnan(content[name]) else content[name]
        return content


@dataclass
class _Rows:
    half: int = 0
    verdicts: list[tuple[float, float]] = field(default_factory=list)
    pairs: dict[tuple[str, str], list[tuple[str, float]]] = field(default_factory=dict)


def pair_report(store: Store, *, judge: str | None = None, draws: int = 1000) -> list[PairReport]:
    """Every judge and prompt version that has compared pairs.

    Args:
        store: Holds the verdicts.
        judge: Only the one of this name.
        draws: Resamples of the queries for the intervals.
    """
    found: dict[tuple[str | None, str | None], _Rows] = {}
    for outcomes in by_query(store):
        for who, pair, one, other in _pairs(outcomes):
            if judge is not None and who[0] != judge:
                continue
            rows = found.setdefault(who, _Rows())
            if one is None or other is None:
                rows.half += 1
                continue
            rows.verdicts.append((one, other))
            result = one if one == 1 - other else _TIE
            rows.pairs.setdefault(pair, []).append((outcomes[0].query_id, result))
    return [_report(who, rows, draws) for who, rows in found.items()]


def _pairs(
    outcomes: list[Outcome],
) -> Iterator[tuple[tuple[str | None, str | None], tuple[str, str], float | None, float | None]]:
    """Judge and version, arms, and the verdicts with the one and with the other shown first."""
    order = [outcome.arm for outcome in outcomes]
    said = {
        (
            (score.scorer, score.version),
            outcome.arm,
            score.name.removeprefix(PAIR_PREFIX),
        ): score.value
        for outcome in outcomes
        for score in outcome.scores
        if score.name.startswith(PAIR_PREFIX)
    }
    done = set()
    for who, arm, other in said:
        if other not in order or (who, other, arm) in done:
            continue
        done.add((who, arm, other))
        one, two = sorted((arm, other), key=order.index)
        yield who, (one, two), said.get((who, one, two)), said.get((who, two, one))


def _report(who: tuple[str | None, str | None], rows: _Rows, draws: int) -> PairReport:
    count = len(rows.verdicts)
    both = [sum(one == other == side for one, other in rows.verdicts) for side in (1.0, 0.0)]
    flipped = sum(one != 1 - other for one, other in rows.verdicts)
    first, second, share = (part / count if count else math.nan for part in (*both, flipped))
    battles = tuple(_battles(pair, mine, draws) for pair, mine in sorted(rows.pairs.items()))
    return PairReport(
        judge=who[0],
        version=who[1],
        n=count,
        half=rows.half,
        flipped=share,
        first=first,
        second=second,
        battles=battles,
        ratings=ratings(battles),
    )


def _battles(pair: tuple[str, str], results: list[tuple[str, float]], draws: int) -> Battles:
    _, groups = np.unique(np.asarray([name for name, _ in results]), return_inverse=True)
    values = np.asarray([value for _, value in results])
    interval = Bootstrap(groups, draws).interval([np.arange(len(values))], [values])
    return Battles(
        *pair,
        n=len(values),
        wins=int((values == 1).sum()),
        losses=int((values == 0).sum()),
        ties=int((values == _TIE).sum()),
        win_rate=float(values.mean()),
        ci95=interval,
    )


def ratings(battles: tuple[Battles, ...]) -> tuple[Rating, ...]:
    """Bradley-Terry (1952) ratings on Elo's scale, best first.

    Every arm has one tied game against an arm of mean strength besides, so that a single winner of
    everything has a finite rating.
    """
    arms = sorted({name for row in battles for name in (row.arm, row.other)})
    if not arms:
        return ()
    won = np.zeros((len(arms), len(arms)))
    for row in battles:
        one, other = arms.index(row.arm), arms.index(row.other)
        won[one, other] += row.wins + row.ties / 2
        won[other, one] += row.losses + row.ties / 2
    games = (won + won.T).sum(axis=1)
    elo = _ELO_MEAN + _ELO_PER_LOG_ODDS * _strengths(won)
    rows = [
        Rating(arm, float(elo[i]), round(float(games[i])), float(won[i].sum() / games[i]))
        for i, arm in enumerate(arms)
    ]
    return tuple(sorted(rows, key=lambda row: (-row.elo, row.arm)))


def _strengths(won: FloatArray) -> FloatArray:
    """(m,) log-strengths of mean 0 by Newton's method on the penalised likelihood."""
    games = won + won.T
    strength = np.zeros(len(won))
    for _ in range(_ROUNDS):
        chance = 1 / (1 + np.exp(-np.subtract.outer(strength, strength)))
        against_mean = 1 / (1 + np.exp(-strength))
        gradient = won.sum(axis=1) - (games * chance).sum(axis=1)
        gradient += _PRIOR_GAMES * (0.5 - against_mean)
        spread = games * chance * (1 - chance)
        prior = _PRIOR_GAMES * against_mean * (1 - against_mean)
        step = np.linalg.solve(np.diag(spread.sum(axis=1) + prior) - spread, gradient)
        strength += np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < _TOLERANCE:
            break
    centred: FloatArray = strength - strength.mean()
    return centred
