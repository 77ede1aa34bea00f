"""Choosing at times what is not believed to be best, with probabilities that are known exactly.

An arm is drawn from just the distribution that is logged, so that off-policy estimates on the log
are unbiased. Thompson's probabilities are the shares of a fixed number of draws that an arm wins:
the draws are the same for every query, and hence the distribution is a function of the estimates.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.gateway.routing.pacer import Pacer
    from fusionfactory.serve_settings import ExplorationSettings

__all__ = ["Exploration"]

_DRAWS = 256


class Exploration:
    """Draws arms.

    Args:
        settings: The method and its share.
        pacer: Says what may still be spent.
        seed: Of the choices; None for a new one per process.
    """

    def __init__(
        self, settings: ExplorationSettings, pacer: Pacer, seed: int | None = None
    ) -> None:
        self.method, self.share, self._pacer = settings.method, settings.share, pacer
        self._random = random.Random(seed)  # noqa: S311  no secret is drawn
        self._normal = np.zeros((_DRAWS, 0))

    def candidates(
        self, utility: Sequence[float], cost_usd: Sequence[float], best: int
    ) -> list[int]:
        """Places of the arms that may be drawn: the best, and what the policy and budget allow.

        Args:
            utility: Of the arms; -inf for one that the policy rules out.
            cost_usd: Theirs; what an arm of unknown cost would take of a budget is unknown too.
            best: Place of the best one.
        """
        if self.method == "none":
            return [best]
        left_usd = self._pacer.left_usd
        if math.isinf(left_usd):
            return [i for i, value in enumerate(utility) if value > -math.inf or i == best]
        least = cost_usd[best]
        return [
            i
            for i, value in enumerate(utility)
            if i == best or (value > -math.inf and cost_usd[i] - least <= left_usd)
        ]

    def probabilities(
        self,
        utility: Sequence[float],
        spread: Sequence[float] | None,
        candidates: Sequence[int],
        best: int,
    ) -> list[float]:
        """Of the candidates; 1 in all.

        Args:
            utility: Of all arms.
            spread: Standard deviation of the utility, likewise; None where unknown.
            candidates: Places of arms, the best among them.
            best: Its place.
        """
        count = len(candidates)
        wins = [float(place == best) for place in candidates]
        if count == 1:
            return wins
        if self.method == "thompson" and spread is not None and any(spread):
            wins = self._wins([utility[i] for i in candidates], [spread[i] for i in candidates])
        return [self.share / count + (1 - self.share) * share for share in wins]

    def draw(self, candidates: Sequence[int], probabilities: Sequence[float]) -> int:
        """One of the candidates."""
        if len(candidates) == 1:
            return candidates[0]
        return self._random.choices(candidates, probabilities)[0]

    def spend(self, extra_usd: float) -> None:
        """Counts what the arm that was drawn is expected to cost beyond the best one."""
        if extra_usd > 0:
            self._pacer.spend(extra_usd)

    def _wins(self, utility: list[float], spread: list[float]) -> list[float]:
        """Shares of the draws that each arm wins."""
        count = len(utility)
        if self._normal.shape[1] < count:
            self._normal = np.random.default_rng(0).standard_normal((_DRAWS, count))
        drawn = self._normal[:, :count] * np.asarray(spread) + np.asarray(utility)
        won = np.bincount(drawn.argmax(axis=1), minlength=count)
        return [wins / _DRAWS for wins in won.tolist()]
