"""The levels of fusion side by side, and one choice per query among all of them."""

from __future__ import annotations

from fusionfactory.fuse.fusion import Fusion, fuse
from fusionfactory.fuse.levels import LABELS, Level, levels_of
from fusionfactory.fuse.planned import PLANS

__all__ = ["LABELS", "PLANS", "Fusion", "Level", "fuse", "levels_of"]
