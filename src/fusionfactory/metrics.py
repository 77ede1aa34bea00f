"""Figures of merit of a router, by their field definitions.

AIQ: RouterBench (arXiv 2403.12031). APGR: RouteLLM (arXiv 2406.18665). PerfGain, CostSave,
ParetoDist: LLMRouterBench. Curves are points (mean cost in USD per query, mean quality).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = [
    "aiq",
    "apgr",
    "cost_save",
    "curve",
    "gap_closed",
    "hull",
    "mean_cost",
    "mean_or_nan",
    "pareto_distance",
    "pareto_mask",
    "selection_entropy",
    "taken",
]

_KNOWN_COSTS = 0.9


def taken(cells: FloatArray, chosen: IntArray) -> FloatArray:
    """(n,) values of the chosen columns of (n, m) cells; (s, n) for (s, n) choices."""
    return np.asarray(cells[np.arange(len(cells)), chosen])


def mean_or_nan(values: FloatArray) -> float:
    """Mean of the known values; NaN where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def curve(quality: FloatArray, cost_usd: FloatArray, picks: IntArray) -> FloatArray:
    """(s, 2) mean cost and mean quality of (s, n) choices.

    Cells without a quality count for neither. A point whose choices' costs are known for fewer than
    nine in ten has no cost: the mean of the others would be too low or too high.
    """
    points = np.empty((len(picks), 2))
    for row, chosen in enumerate(picks):
        got = taken(quality, chosen)
        points[row] = mean_cost(taken(cost_usd, chosen)[~np.isnan(got)]), mean_or_nan(got)
    return points


def mean_cost(values: FloatArray) -> float:
    """Mean of the known costs; NaN where fewer than nine in ten are known."""
    known = float((~np.isnan(values)).mean()) if len(values) else 0.0
    return mean_or_nan(values) if known >= _KNOWN_COSTS else float("nan")


def hull(points: FloatArray) -> FloatArray:
    """The non-decreasing upper convex hull of (s, 2) points, by rising cost."""
    points = points[~np.isnan(points).any(axis=1)]
    kept: list[FloatArray] = []
    for point in points[np.lexsort((-points[:, 1], points[:, 0]))]:
        if kept and point[1] <= kept[-1][1]:
            continue
        while len(kept) > 1 and _turns_up(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return np.asarray(kept).reshape(-1, 2)


def _turns_up(a: FloatArray, b: FloatArray, c: FloatArray) -> bool:
    return bool((b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0]))


def aiq(points: FloatArray, cheapest: FloatArray, dearest_cost: float) -> float:
    """Average improvement in quality: area under the hull over a cost range / the range.

    Args:
        points: (s, 2) the router's curve; points outside the range count by their hull inside it.
        cheapest: (2,) cost and quality of the cheapest arm, where the range begins; any router can
            mix with it, so it belongs to every hull.
        dearest_cost: Where the range ends; NaN where costs are unknown.
    """
    low, high = float(cheapest[0]), dearest_cost
    if not high > low:
        return float("nan")
    upper = hull(np.vstack([points, cheapest]))
    inner = upper[(upper[:, 0] > low) & (upper[:, 0] < high), 0]
    grid = np.concatenate([[low], inner, [high]])
    return float(np.trapezoid(np.interp(grid, upper[:, 0], upper[:, 1]), grid) / (high - low))


def cost_save(points: FloatArray, quality: float, cost_usd: float, give_up: float = 0.0) -> float:
    """1 - least cost on the curve with at least `quality - give_up` / `cost_usd`; 0 where never.

    Args:
        points: (s, 2) the router's curve.
        quality: Best single arm's quality.
        cost_usd: Best single arm's cost.
        give_up: Quality that may be lost.
    """
    enough = points[points[:, 1] >= quality - give_up - 1e-12, 0]
    if not enough.size or not cost_usd > 0:
        return 0.0
    return float(1.0 - enough.min() / cost_usd)


def gap_closed(value: float, best_single: float, oracle: float) -> float:
    """(value - best single) / (oracle - best single); NaN where the oracle gains nothing."""
    return (value - best_single) / (oracle - best_single) if oracle > best_single else float("nan")


def apgr(quality: FloatArray, preference: FloatArray) -> float:
    """Average performance gap recovered between a weak and a strong arm.

    Args:
        quality: (n, 2) outcomes of the weak and the strong arm.
        preference: (n,) how much a router prefers the strong arm; the highest are sent there first.

    Returns:
        Mean over all shares of strong calls of (quality - weak) / (strong - weak); .5 is chance,
        NaN where the strong arm is not better. Queries preferred alike are sent in equal shares.
    """
    known = ~np.isnan(quality).any(axis=1) & ~np.isnan(preference)
    gain = quality[known, 1] - quality[known, 0]
    _, rank, count = np.unique(-preference[known], return_inverse=True, return_counts=True)
    gain = np.repeat(np.bincount(rank, gain, minlength=len(count)) / count, count)
    if not gain.sum() > 0:
        return float("nan")
    recovered = np.concatenate([[0.0], np.cumsum(gain)]) / gain.sum()
    return float(recovered.mean())


def selection_entropy(chosen: IntArray, arms: int) -> tuple[float, float]:
    """Entropy in bits of the arms chosen, and the share of the most chosen one."""
    share = np.bincount(chosen, minlength=arms) / len(chosen)
    seen = share[share > 0]
    return float(-(seen * np.log2(seen)).sum()) + 0.0, float(share.max())


def pareto_mask(points: FloatArray) -> BoolArray:
    """(s,) which (cost, quality) points no other point beats in one and matches in the other."""
    cost, quality = points[:, 0], points[:, 1]
    cheaper = (cost[None] <= cost[:, None]) & (quality[None] >= quality[:, None])
    strictly = (cost[None] < cost[:, None]) | (quality[None] > quality[:, None])
    return np.asarray(~(cheaper & strictly).any(axis=1))


def pareto_distance(points: FloatArray, frontier: FloatArray, spans: FloatArray) -> float:
    """Mean distance of a curve's Pareto points to the joint frontier, axes divided by `spans`."""
    own = points[pareto_mask(points)] / spans
    distance = np.linalg.norm(own[:, None] - (frontier / spans)[None], axis=2)
    return float(distance.min(axis=1).mean())
