"""In which order examples are seen: drawn by the seed, of like lengths together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fusionfactory.distill.training.sequences import Item
    from fusionfactory.distill.training.settings import TrainSettings

__all__ = ["Schedule", "plan_steps"]

_POOL_STEPS = 16
"""Steps whose examples are sorted by length together: enough to save padding, few enough to mix."""


@dataclass(frozen=True)
class Schedule:
    """The whole training, laid out before it begins, so that it can be taken up at any step.

    Attributes:
        order: (m,) numbers of the examples as they are seen, epoch after epoch.
        steps: How many there are.
        step_size: Examples of a step; the last step may have fewer.
        epoch_ends: The steps after which an epoch is over, the last step among them.
    """

    order: NDArray[np.int64]
    steps: int
    step_size: int
    epoch_ends: tuple[int, ...]

    def running_tokens(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """(steps + 1,) tokens that are seen by the end of every step, without padding."""
        counts = np.array([item.tokens for item in items])[self.order]
        ends = np.minimum(np.arange(self.steps + 1) * self.step_size, len(counts))
        return np.concatenate([[0], counts.cumsum()])[ends]

    def padded(self, items: Sequence[Item], batch_size: int) -> int:
        """Tokens that are computed: of every batch its size times its longest sequence."""
        lengths = np.array([item.length for item in items])
        sequences = len(items[0].answers)
        starts = range(0, len(self.order), batch_size)
        batches = (self.order[start : start + batch_size] for start in starts)
        return sequences * sum(int(lengths[batch].max()) * len(batch) for batch in batches)


def plan_steps(items: Sequence[Item], settings: TrainSettings) -> Schedule:
    """Lays out a training; equal for equal items and settings."""
    count, size = len(items), settings.step_size
    wanted = math.ceil(count * settings.epochs)
    if settings.max_steps is not None:
        wanted = settings.max_steps * size
    lengths = np.array([item.length for item in items])
    drawn = np.random.default_rng(settings.seed)
    epochs = [_epoch(lengths, size, drawn) for _ in range(math.ceil(wanted / count))]
    order = np.concatenate(epochs)[:wanted]
    steps = math.ceil(len(order) / size)
    ends = {round(epoch * count / size) for epoch in range(1, math.ceil(wanted / count))}
    return Schedule(order, steps, size, tuple(sorted((ends | {steps}) - {0})))


def _epoch(lengths: NDArray[np.int64], size: int, drawn: np.random.Generator) -> NDArray[np.int64]:
    shuffled = drawn.permutation(len(lengths))
    steps: list[NDArray[np.int64]] = []
    for start in range(0, len(shuffled), size * _POOL_STEPS):
        pool = shuffled[start : start + size * _POOL_STEPS]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        steps += [pool[first : first + size] for first in range(0, len(pool), size)]
    # A short step in the middle would shift all that follow against the steps.
    short = [step for step in steps if len(step) < size]
    whole = [step for step in steps if len(step) == size]
    return np.concatenate([*(whole[at] for at in drawn.permutation(len(whole))), *short])
