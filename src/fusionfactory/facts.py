"""What an evaluation tells of its table and its first split, as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.pricing import NOMINAL_OUTPUT_TOKENS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.contest import Contest
    from fusionfactory.outcome_sums import OutcomeSums
    from fusionfactory.table import OutcomeTable

__all__ = ["clean", "details", "table_facts"]


def table_facts(
    table: OutcomeTable, encoder: str, seeds: int, test_share: float, dropped: dict[str, float]
) -> dict[str, Any]:
    """Facts about a table, the protocol and its audit."""
    groups = table.groups()
    split = table.split(test=test_share, seed=0)
    shared = np.intersect1d(split.train.text_digests(), split.test.text_digests())
    facts: dict[str, Any] = {
        "queries": len(table),
        "arms": len(table.arms),
        "tasks": len(set(table.tasks.tolist())),
        "fingerprint": table.fingerprint(),
        "cost_basis": table.cost_basis,
        "has_judge": table.has_judge,
        "observed_share": float(table.observed().mean()),
        "coverage": table.coverage(),
        "arms_left_out": dropped,
        "near_duplicate_queries": len(table) - len(np.unique(groups)),
        "queries_in_train_and_test": len(shared),
        "encoder": encoder,
        "seeds": seeds,
        "test_share": test_share,
        "train_queries": len(split.train),
        "test_queries": len(split.test),
    }
    if table.cost_basis == "nominal":
        facts["nominal_output_tokens"] = NOMINAL_OUTPUT_TOKENS
    return facts


def details(sums: OutcomeSums, contests: Sequence[Contest]) -> dict[str, Any]:
    """For the report: the first seed's curves, shares and calibration; the table's means.

    Args:
        sums: Of the whole table.
        contests: One for each seed.
    """
    first = contests[0]
    total, count = sums.quality()
    unknown = np.full(total.shape, np.nan)
    heat = np.divide(total, count, out=unknown, where=count > 0)
    shares: dict[str, Any] = {}
    for spec, entry in first.entries.items():
        if spec in {"oracle", "zero"}:
            continue
        picks = next(iter(entry.picks.values()))
        shares[spec] = [
            np.bincount(picks[first.test.tasks == t], minlength=len(sums.arms)).tolist()
            for t in sums.tasks
        ]
    entries = first.entries.items()
    return {
        "arms": [
            {
                "name": arm.name,
                "quality": float(q),
                "cost_usd": float(c),
                "input_price": arm.input_price,
                "output_price": arm.output_price,
            }
            for arm, q, c in zip(
                first.test.arms, first.test.arm_quality(), first.test.arm_cost_usd(), strict=True
            )
        ],
        "tasks": [
            {"name": task, "queries": queries}
            for task, queries in zip(sums.tasks, sums.task_queries.tolist(), strict=True)
        ],
        "task_quality": heat.tolist(),
        "shares": shares,
        "curves": {spec: entry.points.tolist() for spec, entry in entries if len(entry.points)},
        "calibration": {spec: entry.calibration for spec, entry in entries if entry.calibration},
        "encode_us_per_query": first.encode_us_per_query,
    }


def clean(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """The same JSON value with null for NaN and infinities, floats at ten significant digits."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.10g}") if np.isfinite(value) else None
    return value
