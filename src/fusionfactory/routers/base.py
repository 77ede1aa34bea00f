"""The router contract: `fit` on outcomes, `estimate` quality and cost, `decide` by a policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeAlias

import numpy as np

from fusionfactory.encoders import Encoder, make_encoder
from fusionfactory.errors import PolicyError, TableError, UnsupportedError
from fusionfactory.estimator import Estimator
from fusionfactory.policy import SCENARIOS, Normaliser, Policy, choose
from fusionfactory.routers.cost import CostModel
from fusionfactory.routers.frontier import Frontier
from fusionfactory.routers.linear import solve_ridge
from fusionfactory.routers.views import Views
from fusionfactory.types import Arm, Decision, Estimates, FloatArray, IntArray
from fusionfactory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fusionfactory.routers.stream import FitsFrom, Stream
    from fusionfactory.table import OutcomeTable

__all__ = ["Queries", "Recipe", "Router"]

Queries: TypeAlias = "Sequence[str] | FloatArray"
"""n texts, or their (n, d) rows already encoded by the router's `encoder_`."""

Recipe: TypeAlias = Literal["mended", "paper"]

_CALIBRATION_QUERIES = 300


class Router(Estimator, ABC):
    """Base of all routers.

    A subclass implements `_fit` and `_estimate_quality`. Where it has the `recipe` parameter,
    `mended` estimates expected quality, and `paper` is the published method with its labels taken
    under one policy at `fit`: such a router can only decide by that policy.

    Args:
        encoder: An encoder's name, or an encoder; one that is fitted already is used as it is.
        seed: Of everything random in `fit`.
    """

    kind: ClassVar[str] = "router"
    uses_features: ClassVar[bool] = True
    cost_model: ClassVar[type[CostModel]] = CostModel
    trades_off: ClassVar[bool] = True
    """Whether the choice follows the estimates and the policy; not so for fixed baselines."""
    fits_from: ClassVar[FitsFrom] = "sample"
    """How it learns from a table that memory does not hold: `statistics` over all of it by
    `fit_stream`, or a `sample` by `fit`."""

    encoder: str | Encoder
    seed: int
    arms_: tuple[Arm, ...]
    encoder_: Encoder
    normaliser_: Normaliser
    views_: Views
    cost_: CostModel
    frontier_: Frontier
    calibration_: FloatArray | list[str]
    task_coef_: FloatArray
    task_intercept_: FloatArray
    fingerprint_: str
    seen_: NDArray[np.uint64]
    best_single_: int
    cheapest_: int
    metrics_: dict[str, float]

    def __init__(self, *, encoder: str | Encoder = "text", seed: int = 0) -> None:
        self.encoder = encoder
        self.seed = seed

    # Fitting

    def fit(self, table: OutcomeTable, policy: Policy | None = None) -> Self:
        """Learns from outcomes, forgetting any earlier fit.

        Args:
            table: Training outcomes. For a judge policy, pass `table.judged()`.
            policy: Needed by the `paper` recipe of some routers only.

        Raises:
            TableError: No cell of the table carries a quality.
            PolicyError: The recipe needs a policy and none is given.
        """
        self._check(table.coverage(), policy)
        self.reset()
        self.arms_ = table.arms
        self.fingerprint_ = table.fingerprint()
        self.seen_ = table.text_digests()
        self.best_single_ = table.best_single()
        self.cheapest_ = table.cheapest()
        self.metrics_ = {}
        self.normaliser_ = Normaliser().fit(table)
        features = self._fit_encoder(table)
        if self.uses_features:
            self.views_ = Views().fit(features, self.encoder_)
        self.cost_ = self.cost_model().fit(features, table)
        self.task_coef_, self.task_intercept_ = solve_ridge(
            features, self.normaliser_.one_hot(table.tasks)
        )
        if self.policy_bound and policy is not None:
            self.policy_name_ = policy.name
        self._fit(features, table, policy)
        return self._calibrate_on(table, features)

    def fit_stream(self, stream: Stream) -> Self:
        """Learns from outcomes that memory does not hold, forgetting any earlier fit.

        It comes to what `fit` on all of them would, but for penalties, which are found by another
        criterion, and for what needs the queries themselves, which goes by the stream's sample:
        the encoder, the views, and the calibration.

        Args:
            stream: Training outcomes, encoded by the encoder that this router is to have.

        Raises:
            TableError: As in `fit`.
            UnsupportedError: This router learns from a sample.
        """
        if self.fits_from != "statistics":
            msg = f"router {self.name!r} does not learn from statistics: fit it on a sample"
            raise UnsupportedError(msg)
        sums = stream.sums
        self._check(sums.coverage(), None)
        self.reset()
        self.arms_ = sums.arms
        self.fingerprint_ = stream.fingerprint
        self.seen_ = stream.seen
        self.best_single_ = sums.best_single()
        self.cheapest_ = sums.cheapest()
        self.metrics_ = {}
        self.normaliser_ = sums.normaliser()
        footing = stream.footing
        if stream.encoder is not None and footing.views is not None:
            self.encoder_, self.views_ = stream.encoder, footing.views
        self.cost_ = deepcopy(footing.cost)
        self.task_coef_, self.task_intercept_ = footing.task_coef, footing.task_intercept
        self._fit_stream(stream)
        return self._calibrate_on(stream.sample, stream.sample_features)

    def _fit_stream(self, stream: Stream) -> None:
        """Learns expected quality from statistics; see `_fit`.

        Args:
            stream: As given to `fit_stream`.

        Raises:
            UnsupportedError: The router claims to fit from statistics, and lacks this.
        """
        msg = f"router {self.name!r} claims to fit from statistics, but has no `_fit_stream`"
        raise UnsupportedError(msg)

    def _check(self, coverage: Mapping[str, float], policy: Policy | None) -> None:
        """Raises what `fit` says it raises.

        Args:
            coverage: Arm to its share of scored queries.
            policy: As given to `fit`.
        """
        if not any(coverage.values()):
            msg = "no cell carries a quality: score the outcomes first"
            raise TableError(msg, field="performance")
        unscored = [a for a, share in coverage.items() if not share]
        if unscored:
            msg = (
                f"no outcome of {unscored[0]!r} is scored: score it, or leave it out by select_arms"
            )
            raise TableError(msg, field="arms")
        if self.policy_bound and policy is None:
            msg = (
                f"the paper's recipe of {self.name!r} takes its labels under a policy: give fit one"
            )
            raise PolicyError(msg)
        if self.policy_bound and policy is not None and policy.is_constrained:
            msg = f"the paper's recipes know scenarios only, and no {policy.name!r}"
            raise PolicyError(msg)

    def _calibrate_on(self, table: OutcomeTable, features: FloatArray) -> Self:
        rows = np.random.default_rng(self.seed).permutation(len(table))[:_CALIBRATION_QUERIES]
        return self.calibrate(table.rows(np.sort(rows)), features[np.sort(rows)])

    def _fit_encoder(self, table: OutcomeTable) -> FloatArray:
        if not self.uses_features:
            return np.zeros((len(table), 0), dtype=np.float32)
        encoder = make_encoder(self.encoder)
        self.encoder_ = encoder if encoder.is_fitted else encoder.clone().fit(table.texts)
        return self.encoder_.encode(table.texts)

    @property
    def policy_bound(self) -> bool:
        """Whether this router can only decide by the policy it was fitted under."""
        return getattr(self, "recipe", "mended") == "paper"

    def calibrate(self, table: OutcomeTable, queries: Queries | None = None) -> Self:
        """Learns which price of quality meets which budget, best on held-out outcomes.

        `fit` does so on training queries; nothing but the answers to budget policies changes.
        """
        rows = self.encode(table.texts if queries is None else queries)[:_CALIBRATION_QUERIES]
        self.calibration_ = list(rows) if rows.dtype == np.object_ else rows
        return self._refresh_frontier()

    def _refresh_frontier(self) -> Self:
        """Meets budgets at the arms and prices of today, on the calibration queries."""
        self.frontier_ = Frontier().fit(self.estimate(self.calibration_))
        return self

    @abstractmethod
    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        """Learns expected quality.

        Args:
            features: (n, d) encoded training queries.
            table: Their outcomes.
            policy: As given to `fit`.
        """

    @abstractmethod
    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        """(n, m) expected quality of (n, d) encoded queries."""

    def _estimate_both(self, features: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """(n, m) expected quality and its standard deviation, where the method knows one."""
        return self._estimate_quality(features), None

    def _targets(self, table: OutcomeTable, policy: Policy | None) -> FloatArray:
        """(n, m) what to regress on: quality, or under the paper's recipe the policy's reward."""
        if not self.policy_bound or policy is None:
            return table.quality
        return self.normaliser_.reward(table.quality, table.cost_usd, table.tasks, policy)

    # Estimating and deciding

    def encode(self, queries: Queries) -> FloatArray:
        """(n, d) features of the queries; an array is returned as it is."""
        self.check_fitted()
        if isinstance(queries, np.ndarray):
            return queries
        if isinstance(queries, str):
            msg = "expected a list of texts, got one text: wrap it in a list"
            raise PolicyError(msg)
        if not self.uses_features:
            return np.zeros((len(queries), 0), dtype=np.float32)
        return self.encoder_.encode(queries)

    def estimate(self, queries: Queries) -> Estimates:
        """Expected quality and cost of every arm on every query.

        Args:
            queries: n texts, or their encoded rows.

        Raises:
            NotFittedError: Before `fit`.
        """
        features = self.encode(queries)
        quality, std = self._estimate_both(features)
        return Estimates(
            arms=tuple(arm.name for arm in self.arms_),
            quality=quality,
            cost_usd=self.cost_.predict(features),
            quality_std=std,
            task_weights=self._task_weights(features),
        )

    def _task_weights(self, features: FloatArray) -> FloatArray:
        guess = np.clip(features @ self.task_coef_ + self.task_intercept_, 1e-3, None)
        return np.asarray(guess / guess.sum(axis=1, keepdims=True))

    def choose(self, estimates: Estimates, policy: Policy) -> IntArray:
        """(n,) columns of the arms that the policy prefers under these estimates.

        Raises:
            PolicyError: This router was fitted under another policy, or costs are unknown.
        """
        if self.policy_bound:
            if policy.name != self.policy_name_:
                msg = (
                    f"router {self.name!r} learned the labels of policy {self.policy_name_!r} and "
                    f"cannot decide by {policy.name!r}: fit it again, or use recipe='mended'"
                )
                raise PolicyError(msg)
            return np.asarray(estimates.quality.argmax(axis=1))
        head_start = self.head_start(policy)
        if head_start is not None:
            estimates = replace(estimates, quality=estimates.quality + head_start)
        if policy.budget_usd is not None:
            policy = self.frontier_.within(policy)
        return choose(
            policy.utility(estimates, self.normaliser_), estimates.cost_usd, estimates.arms
        )

    def head_start(self, policy: Policy) -> FloatArray | None:
        """(m,) quality by which `choose` favours arms under the policy; None for none of them."""
        return None

    def decide(self, queries: Queries, policy: Policy | None = None) -> list[Decision]:
        """One decision per query.

        Args:
            queries: n texts, or their encoded rows.
            policy: The trade-off; performance first by default.

        Raises:
            NotFittedError: Before `fit`.
            PolicyError: As in `choose`.
        """
        estimates = self.estimate(queries)
        default = getattr(self, "policy_name_", "performance")
        chosen = self.choose(estimates, policy or SCENARIOS.get(default, Policy(default)))
        rows = np.arange(len(estimates))
        expected = estimates.quality[rows, chosen]
        if not self.policy_bound:
            expected = np.clip(expected, 0.0, 1.0)
        router = f"{self.name}@{self.fingerprint_[:8]}/{__version__}"
        return [
            Decision(estimates.arms[arm], float(quality), float(cost), self._propensity(), router)
            for arm, quality, cost in zip(
                chosen.tolist(),
                expected,
                estimates.cost_usd[rows, chosen],
                strict=True,
            )
        ]

    def _propensity(self) -> float:
        """Probability with which `choose` takes the arm it takes."""
        return 1.0

    # Changing without a refit

    def set_prices(self, prices: Mapping[str, tuple[float, float]]) -> Self:
        """Changes prices, USD per million input and output tokens, without a refit.

        An arm whose tokens were unknown in training keeps its cost in proportion to the old prices.

        Raises:
            TableError: An arm is unknown.
            UnsupportedError: An arm had neither tokens nor prices to scale by.
        """
        self.check_fitted()
        names = [arm.name for arm in self.arms_]
        arms = list(self.arms_)
        for name, (new_in, new_out) in prices.items():
            if name not in names:
                msg = f"unknown arm {name!r}; the router knows {', '.join(names)}"
                raise TableError(msg, field="arms")
            self.cost_.set_price(names.index(name), name, new_in, new_out)
            old = arms[names.index(name)]
            arms[names.index(name)] = Arm(old.model, old.strategy, new_in, new_out, old.description)
        self.arms_ = tuple(arms)
        return self._refresh_frontier()

    def add_arm(self, arm: Arm, outcomes: OutcomeTable | None = None) -> Self:
        """Adds an arm without a refit.

        Args:
            arm: The new arm.
            outcomes: Its outcomes on some queries, for methods that need them.

        Raises:
            UnsupportedError: The method must be fitted again to know a new arm.
        """
        msg = f"router {self.name!r} cannot add {arm.name!r} without a refit; knn and graph can"
        raise UnsupportedError(msg)
