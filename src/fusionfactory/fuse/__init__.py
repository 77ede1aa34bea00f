"""The levels of fusion side by side, and one choice per query among all of them."""

from __future__ import annotations

from fusionfactory.fuse.fusion import Fusion, fuse
from fusionfactory.fuse.levels import LABELS, Level, levels_of
from fusionfactory.fuse.planned import PLANS
from fusionfactory.fuse.saved import Fused, fit_fused, save_fused

__all__ = [
    "LABELS",
    "PLANS",
    "Fused",
    "Fusion",
    "Level",
    "fit_fused",
    "fuse",
    "levels_of",
    "save_fused",
]
