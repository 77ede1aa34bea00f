"""Whether a log can say what another router would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.off_policy.estimates import difference, student

if TYPE_CHECKING:
    from fusionfactory.off_policy.log import BanditLog
    from fusionfactory.types import FloatArray

__all__ = ["Support", "support"]

_FEW_TRIALS = 30.0
_LEVEL = 0.999
"""Of the interval of the mean weight: a warning is no test among many, so it must be clear."""


@dataclass(frozen=True, slots=True)
class Support:
    """What a log knows of a target.

    Attributes:
        rows: Decisions in the log.
        scored: Of them, with a known reward.
        differs: Share of the target's choices that are not the baseline's; 1 without a baseline.
        tried: Of the scored, those whose arm the target might choose, and, against a baseline,
            where the two differ.
        effective: Number of rows of equal weight that would say as much (Kish, 1965).
        mean_weight: Mean of the target's weights: 1 but for chance, less where the target chooses
            what was never tried.
        weight_low: Lower end of its interval.
        weight_high: Upper end of its interval.
        absent: Columns that the target chooses and the log never does.
        absent_share: Share of the target's choices that they are.
        scored_by_chance: P-value of equal shares of known rewards among the arms.
    """

    rows: int
    scored: int
    differs: float
    tried: int
    effective: float
    mean_weight: float
    weight_low: float
    weight_high: float
    absent: tuple[int, ...]
    absent_share: float
    scored_by_chance: float

    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before the estimate."""
        found = []
        if self.absent:
            found.append(
                f"{self.absent_share:.1%} of the choices are arms that the log never tried: of "
                "these it knows nothing, and the reward model guesses"
            )
        if not self.weight_low <= 1.0 <= self.weight_high:
            found.append(
                f"the weights average {self.mean_weight:.2f} and should average 1: the log did not "
                "try everything that would be chosen, or its probabilities are wrong"
            )
        if self.differs and self.effective < _FEW_TRIALS:
            found.append(
                f"the estimate rests on {self.effective:.0f} effective trials of what would be "
                "chosen: log more, or explore more"
            )
        if self.scored_by_chance < 1 - _LEVEL:
            found.append(
                "some arms' answers are scored more often than others': what is scored was not "
                "drawn by chance alone, so low or high rewards may be missing"
            )
        return tuple(found)


def support(log: BanditLog, target: FloatArray, baseline: FloatArray | None = None) -> Support:
    """Diagnostics of a target on a log.

    Args:
        log: n rows, m arms.
        target: (n, m) probability with which the target chooses each arm.
        baseline: (n, m), of what it is compared with: then only rows where the two differ count as
            tried and effective.
    """
    weights = log.inverse * log.at_chosen(target)
    moved = np.abs(difference(target, baseline)).sum(axis=1)
    used = weights[(weights > 0) & (moved > 0)]
    mean = student(log, weights, np.array([weights.max()]), _LEVEL)
    share = target.mean(axis=0)
    never = (np.bincount(log.chosen, minlength=log.arms) == 0) & (share > 0)
    return Support(
        rows=len(log),
        scored=int(log.known.sum()),
        differs=1.0 if baseline is None else float(moved.mean() / 2),
        tried=len(used),
        effective=float(used.sum() ** 2 / (used**2).sum()) if used.size else 0.0,
        mean_weight=mean.value,
        weight_low=mean.low,
        weight_high=mean.high,
        absent=tuple(np.nonzero(never)[0].tolist()),
        absent_share=float(share[never].sum()),
        scored_by_chance=log.scored_by_chance(),
    )
