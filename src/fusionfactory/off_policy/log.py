"""A log of decisions: what was chosen, how likely that was, and what it earned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import InputError

if TYPE_CHECKING:
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["BanditLog"]

_PRIOR_CELLS = 2.0


@dataclass(frozen=True, eq=False)
class BanditLog:
    """n decisions between m arms.

    Attributes:
        arms: m.
        chosen: (n,) columns of the arms that were chosen.
        propensity: (n,) probability with which each was, given its query; in (0, 1].
        reward: (n,) of the chosen arm; NaN where it is unknown.
        scored: (n,) probability with which the reward became known, given query and arm; None for
            chance alone: then it is each arm's share of known rewards, drawn to the overall share.
        groups: (n,) numbers; queries of one group (near-duplicates) count as one observation of
            chance. None for none.

    Raises:
        InputError: The arrays do not fit together, a probability is none, or no reward is known.
    """

    arms: int
    chosen: IntArray
    propensity: FloatArray
    reward: FloatArray
    scored: FloatArray | None = None
    groups: IntArray | None = None

    def __post_init__(self) -> None:
        n = len(self.chosen)
        for name in ("propensity", "reward", "scored", "groups"):
            values = getattr(self, name)
            if values is not None and values.shape != (n,):
                msg = f"has shape {values.shape}, expected ({n},)"
                raise InputError(msg, field=name)
        for name in ("propensity", "scored"):
            values = getattr(self, name)
            bad = np.zeros(0) if values is None else values[~((values > 0) & (values <= 1))]
            if bad.size:
                msg = f"{bad[0]} is no probability of something that happened: expected 0 < p <= 1"
                raise InputError(msg, field=name)
        strange = self.chosen[(self.chosen < 0) | (self.chosen >= self.arms)]
        if strange.size:
            msg = f"{strange[0]} is no column: there are {self.arms} arms"
            raise InputError(msg, field="chosen")
        if not self.known.any():
            msg = f"none of {n} rewards is known: score, judge or rate the answers first"
            raise InputError(msg, field="reward")

    def __len__(self) -> int:
        return len(self.chosen)

    @cached_property
    def known(self) -> BoolArray:
        """(n,) whether the reward is known."""
        return np.asarray(~np.isnan(self.reward))

    @cached_property
    def inverse(self) -> FloatArray:
        """(n,) 1 / (probability of what is known of the row); 0 where its reward is unknown."""
        return np.asarray(np.where(self.known, 1.0 / (self.propensity * self._scored()), 0.0))

    @cached_property
    def units(self) -> IntArray:
        """(n,) numbers from 0 of the independent observations: the groups, or the rows."""
        if self.groups is None:
            return np.arange(len(self))
        return np.asarray(np.unique(self.groups, return_inverse=True)[1])

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest known reward."""
        return float(np.nanmin(self.reward)), float(np.nanmax(self.reward))

    def at_chosen(self, values: FloatArray) -> FloatArray:
        """(n,) the entries of an (n, m) array at the chosen arms."""
        return np.asarray(values[np.arange(len(self)), self.chosen])

    def scored_by_chance(self) -> float:
        """P-value of equal shares of known rewards among the arms (chi-squared)."""
        from scipy.stats import chi2

        rows, known = self._counts()
        rows, known = rows[rows > 0], known[rows > 0]
        share = self.known.mean()
        if share == 1.0 or len(rows) == 1:
            return 1.0
        expected = rows * share
        excess = ((known - expected) ** 2 / (expected * (1 - share))).sum()
        return float(chi2.sf(excess, len(rows) - 1))

    def _scored(self) -> FloatArray:
        if self.scored is not None:
            return self.scored
        rows, known = self._counts()
        shares = (known + _PRIOR_CELLS * self.known.mean()) / (rows + _PRIOR_CELLS)
        return np.asarray(shares[self.chosen])

    def _counts(self) -> tuple[FloatArray, FloatArray]:
        """(m,) rows and (m,) known rewards of every arm."""
        rows = np.bincount(self.chosen, minlength=self.arms)
        known = np.bincount(self.chosen, self.known, minlength=self.arms)
        return rows.astype(np.float64), known.astype(np.float64)
