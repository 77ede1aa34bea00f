"""The closed loop over many seeds, where the truth is known: coverage, promotion, gain."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
LEARNER = "trees:trees=40"


@pytest.fixture(scope="module")
def loop() -> ModuleType:
    spec = importlib.util.spec_from_file_location("closed_loop", ROOT / "benchmarks/closed_loop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_intervals_hold_the_truth_on_the_bundled_log(loop: ModuleType) -> None:
    (world,) = loop.worlds(None)
    found = [loop.turn(world, seed, LEARNER, "performance") for seed in range(20)]
    assert min(loop.covered(found, "dr")) >= 18


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the development data set is not here")
def test_intervals_hold_the_truth_and_what_is_promoted_gains(loop: ModuleType) -> None:
    """On the queries that nobody learned from, and on the held-out decisions among them."""
    world = next(one for one in loop.worlds(SHARED) if one.name == "zeroeval, 6 arms, eps .3")
    found = [loop.turn(world, seed, LEARNER, "performance") for seed in range(100)]
    assert min(loop.covered(found, "dr")) >= 93
    promoted = [one for one in found if one.promoted]
    assert len(promoted) >= 5
    assert sum(one.everywhere > 0 for one in promoted) >= 0.95 * len(promoted)
    gain, low, high = loop.measured(found, len(world.table))
    assert 0 < low < gain < high
