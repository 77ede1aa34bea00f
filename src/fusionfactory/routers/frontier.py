"""Which price of quality spends how much: how a budget becomes a trade-off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import PolicyError
from fusionfactory.estimator import Estimator
from fusionfactory.policy import Policy, choose

if TYPE_CHECKING:
    from fusionfactory.types import Estimates, FloatArray, IntArray

__all__ = ["Frontier", "shortfall", "sweep", "trade_offs"]

_STEPS = 61
_DECADES = (-3.0, 3.0)


def trade_offs(cost_usd: FloatArray) -> FloatArray:
    """(s,) costs in USD that one unit of quality is worth, from cost alone to quality alone.

    Args:
        cost_usd: (n, m) expected costs, which set the scale.

    Returns:
        A rising grid over six decades around the dearest arm's mean cost; first 0, last infinite.
    """
    known = ~np.isnan(cost_usd)
    total = np.where(known, cost_usd, 0.0).sum(axis=0)
    scale = float((total / np.maximum(known.sum(axis=0), 1)).max())
    grid = np.logspace(*_DECADES, _STEPS) * max(scale, 1e-12)
    return np.concatenate([[0.0], grid, [np.inf]])


def sweep(estimates: Estimates, worth_usd: FloatArray) -> IntArray:
    """(s, n) chosen columns for every price of quality.

    Args:
        estimates: Expected quality and cost; arms of unknown cost are chosen only at infinity.
        worth_usd: (s,) USD that one unit of quality is worth.
    """
    picks = np.empty((len(worth_usd), len(estimates)), dtype=np.int64)
    cost = np.nan_to_num(estimates.cost_usd, nan=np.inf)
    for row, worth in enumerate(worth_usd):
        utility = estimates.quality if np.isinf(worth) else worth * estimates.quality - cost
        picks[row] = choose(utility, estimates.cost_usd, estimates.arms)
    return picks


def shortfall(quality: FloatArray, cost_usd: FloatArray) -> FloatArray:
    """(m,) quality that each arm lacks to be the choice at the price of quality that suits it best.

    0 for every arm on the upper hull of quality over cost.

    Args:
        quality: (m,) means.
        cost_usd: (m,) means; an arm of unknown cost is held against the best quality alone.
    """
    lacking = quality.max() - quality
    known = ~np.isnan(cost_usd)
    if not known.any():
        return np.asarray(lacking)
    worth = trade_offs(cost_usd[None])[1:-1, None]
    utility = quality[known] - cost_usd[known] / worth
    at_price = utility.max(axis=1, keepdims=True) - utility
    lacking[known] = np.minimum(lacking[known], at_price.min(axis=0))
    return np.asarray(lacking)


class Frontier(Estimator):
    """Mean expected cost at every price of quality, learned on a sample of queries."""

    worth_usd_: FloatArray
    spend_usd_: FloatArray

    def fit(self, estimates: Estimates) -> Frontier:
        """Sweeps the price of quality; without known costs the frontier is empty."""
        self.reset()
        self.worth_usd_ = np.zeros(0)
        self.spend_usd_ = np.zeros(0)
        if np.isnan(estimates.cost_usd).all():
            return self
        self.worth_usd_ = trade_offs(estimates.cost_usd)
        picks = sweep(estimates, self.worth_usd_)
        rows = np.arange(len(estimates))
        # NaN where an arm of unknown cost is chosen: no budget is known to hold there.
        self.spend_usd_ = np.array([estimates.cost_usd[rows, p].mean() for p in picks])
        return self

    def within(self, policy: Policy) -> Policy:
        """The policy with the price of quality at which expected spend meets its budget.

        Raises:
            PolicyError: Costs are unknown, or the cheapest choice is over the budget.
        """
        budget = policy.budget_usd
        if budget is None:
            return policy
        if not self.worth_usd_.size:
            msg = f"policy {policy.name!r} sets a budget, but no arm's cost is known"
            raise PolicyError(msg)
        affordable = np.nonzero(self.spend_usd_ <= budget)[0]
        if not affordable.size:
            least = np.nanmin(self.spend_usd_) * 1000
            msg = (
                f"the cheapest choice costs {least:.4g} USD per 1,000 queries, over {policy.name!r}"
            )
            raise PolicyError(msg)
        worth = float(self.worth_usd_[affordable[-1]])
        if np.isinf(worth):
            return replace(policy, alpha=1.0, beta=0.0, budget_usd=None)
        return replace(policy, alpha=worth, beta=1.0, budget_usd=None)
