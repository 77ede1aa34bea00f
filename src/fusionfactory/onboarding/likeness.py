"""How much a new arm is like each known one, by what is said of them and by their prices."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.encoders.ngrams import char_ngrams

if TYPE_CHECKING:
    from fusionfactory.types import Arm, FloatArray

__all__ = ["likeness"]


def likeness(arm: Arm, known: tuple[Arm, ...]) -> FloatArray:
    """(m,) weights of the known arms by how much they are like the new one; they sum to 1.

    Likeness of descriptions, or of names where one has none, by character trigrams; and of prices
    by their ratio, where both are known.
    """
    weights = [np.exp(6.0 * _alike(arm, other)) * _priced_alike(arm, other) for other in known]
    return np.asarray(np.asarray(weights) / np.sum(weights))


def _alike(one: Arm, other: Arm) -> float:
    """Cosine of the two descriptions' or names' trigram counts."""
    told = one.description is not None and other.description is not None
    first, second = (
        Counter(char_ngrams(((arm.description if told else None) or arm.name).lower(), 3, 3))
        for arm in (one, other)
    )
    common = sum(count * second[gram] for gram, count in first.items())
    sizes = [sum(count**2 for count in grams.values()) for grams in (first, second)]
    return float(common / np.sqrt(max(sizes[0] * sizes[1], 1)))


def _priced_alike(one: Arm, other: Arm) -> float:
    """1 at equal output prices, falling by the logarithm of their ratio; 1 where unknown."""
    if not one.output_price or not other.output_price:
        return 1.0
    return float(np.exp(-0.5 * np.log(one.output_price / other.output_price) ** 2))
