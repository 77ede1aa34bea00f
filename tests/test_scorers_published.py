"""The text scorers on real responses whose scores were published, by `benchmarks/scorers.py`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
MODELS = 6
"""How many models' responses go through math-verify here; the benchmark takes all."""


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "scorers_benchmark", ROOT / "benchmarks/scorers.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the development data set is not here")
@pytest.mark.parametrize(
    ("metric", "task", "clear", "off"),
    [
        ("number", "gsm8k", 0.97, 0),
        ("number", "math_level5", 0.75, 2),
        ("math", "math_level5", 0.75, None),
        ("multiple_choice", "mmlu_pro", 0.75, None),
    ],
)
def test_published_scores_are_reproduced(
    benchmark: ModuleType, metric: str, task: str, clear: float, off: int | None
) -> None:
    """`off`: models that differ by the source's rule, for causes that RESULTS.md names."""
    job = next(job for job in benchmark.JOBS if (job.metric, job.task) == (metric, task))
    models = benchmark.models_of(SHARED, job)
    if metric == "math":
        models = list(np.random.default_rng(0).choice(models, MODELS, replace=False))
    found = benchmark.compare(SHARED, job, models)
    tallies = found.tallies
    assert sorted(tallies) == sorted(models)
    total = sum(tally.count for tally in tallies.values())
    assert sum(tally.clear for tally in tallies.values()) >= clear * total
    worst = max(tallies, key=lambda model: abs(tallies[model].clear_difference))
    assert abs(tallies[worst].clear_difference) <= benchmark.TOLERANCE, worst
    if off is not None:
        by_rule = {name: tally.field_difference for name, tally in tallies.items()}
        far = {name: value for name, value in by_rule.items() if abs(value) > benchmark.TOLERANCE}
        assert len(far) <= off, far
    unclear = [item for item in found.disagreements if item.clear]
    assert len(unclear) <= 0.001 * total, unclear[:3]
