"""What `fit` does with a table that is read from disk, and how a router is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from fusionfactory.cli.large_source import scan
from fusionfactory.cli.output import about, progress_bar
from fusionfactory.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable

__all__ = ["fit_and_save_large", "measure_router"]

_MEASURED_QUERIES = 50_000
"""Held-out queries in memory to measure on, drawn at random where there are more."""
_KEYS = ("quality", "cost_usd", "gap_closed", "cost_save_1pt")


def fit_and_save_large(
    router: Router,
    table: str,
    out: Path,
    policy: Policy | None,
    *,
    seed: int,
    holdout: float,
    min_coverage: float,
    sample: int | None,
) -> dict[str, Any]:
    """Fits a router on a table on disk, measures it on held-out queries and saves it.

    Args:
        router: Unfitted.
        table: A folder, a glob or a URL of Parquet files.
        out: Directory to write.
        policy: That a paper's recipe learns, and that it is measured under.
        seed: Of the hold-out.
        holdout: Share of the queries to measure on.
        min_coverage: Arms that are scored on a smaller share are left out.
        sample: Queries in memory to learn from; the usual number if None.

    Returns:
        Facts for `--json`.

    Raises:
        TableError: See `LargeTable.scan` and `evaluation.covered_arms`.
    """
    from fusionfactory.routers import save_router
    from fusionfactory.streamed import SAMPLE_QUERIES, Training, fit_large
    from fusionfactory.streamed.scratch import scratch_folder
    from fusionfactory.streamed.subject import covered

    with about(table), progress_bar(Console(stderr=True)) as progress, scratch_folder() as folder:
        large, left_out = covered(scan(table, progress), min_coverage)
        if policy is not None and policy.judge:
            large = large.judged()
        split = large.split(test=holdout, seed=seed)
        training = Training.of(split.train, folder, queries=sample or SAMPLE_QUERIES)
        fits_from = fit_large(router, training, policy)
        if holdout:
            measure_router(router, split.test.sample(_MEASURED_QUERIES), policy)
        save_router(router, out)
    return {
        "router": router.name,
        "out": str(out),
        "arms": [arm.name for arm in router.arms_],
        "left_out": left_out,
        "cost_basis": large.cost_basis,
        "queries": len(large),
        "holdout": holdout,
        "fits_from": fits_from,
        "sample_queries": len(training.sample),
        "metrics": router.metrics_,
    }


def measure_router(router: Router, test: OutcomeTable, policy: Policy | None) -> None:
    """Measures a fitted router on held-out outcomes, and calibrates it to budgets there."""
    from fusionfactory.evaluation import clean
    from fusionfactory.holdout import measure

    row = clean(measure(router, test, policy or Policy.parse("performance")))
    router.calibrate(test)
    router.metrics_ = {key: row[key] for key in _KEYS if row[key] is not None}
