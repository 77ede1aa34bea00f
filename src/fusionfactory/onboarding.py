"""Onboarding: a new arm from few labelled queries, or from its description, without a refit."""

from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import numpy as np

from fusionfactory.encoders.ngrams import char_ngrams
from fusionfactory.errors import ConfigError, NotFittedError, TableError, UnsupportedError
from fusionfactory.estimator import Estimator
from fusionfactory.routers.base import Router
from fusionfactory.routers.cost import CostModel

if TYPE_CHECKING:
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, FloatArray, IntArray

__all__ = ["GrownCost", "GrownRouter", "Newcomer", "choose_queries", "likeness"]

Choice: TypeAlias = Literal["random", "diverse"]

_LEVEL, _ARMS, _TASKS, _NOISE = 0.1, 0.5, 0.05, 0.2
"""Prior variances: of a newcomer's level, of its leaning to what known arms do, of its bent for a
task; and of one score around its expectation."""
_CAUTION = 0.25


def choose_queries(
    router: Router,
    table: OutcomeTable,
    count: int = 100,
    *,
    choice: Choice = "random",
    seed: int = 0,
) -> IntArray:
    """Rows of the queries to ask a new arm, of which the known arms' outcomes are there already.

    Args:
        router: Fitted; its encoder says which queries are alike.
        table: Queries to choose from.
        count: Queries at most.
        choice: `random`, or `diverse`: far from one another (k-means++, Arthur and Vassilvitskii
            2007). Measured, the one is as good as the other.
        seed: Of the choice.

    Returns:
        (min(count, n),) rising row numbers.

    Raises:
        ConfigError: The count is below 1.
        NotFittedError: The router is not fitted.
    """
    if count < 1:
        msg = f"must be at least 1, got {count}"
        raise ConfigError(msg, field="count")
    rng = np.random.default_rng(seed)
    count = min(count, len(table))
    features = router.encode(table.texts)
    if choice == "random" or not features.shape[1]:
        return np.sort(rng.choice(len(table), count, replace=False))
    size = np.linalg.norm(features, axis=1, keepdims=True)
    features = features / np.where(size > 0, size, 1.0)
    rows = [int(rng.integers(len(table)))]
    distance = np.full(len(table), np.inf)
    while len(rows) < count:
        distance = np.minimum(distance, ((features - features[rows[-1]]) ** 2).sum(axis=1))
        distance[rows] = 0.0
        odds = distance if distance.any() else 1.0 - np.isin(np.arange(len(table)), rows)
        rows.append(int(rng.choice(len(table), p=odds / odds.sum())))
    return np.sort(np.asarray(rows))


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


class Newcomer(Estimator):
    """What a new arm's quality is, given the qualities of the known arms and the task.

    A Gaussian process (Rasmussen and Williams 2006, chapter 2) with a linear kernel on the known
    arms' qualities and on the task. Its mean without a label is that of the arms that the new one
    is like. Trained on the known arms' scores, it is asked with a router's estimates of them:
    being linear, it needs their expectation only.

    Attributes:
        prior_: (m,) weights of the known arms.
        bent_: (m,) further weights of the known arms' deviations from their level, from labels.
        level_: (m,) quality of the known arms where the bent is nothing.
        tasks_: (t,) quality to add on each task.
        offset_: Quality to add everywhere.
        doubt_: Standard deviation of the estimates, left out one by one; 0 without labels.
    """

    prior_: FloatArray
    bent_: FloatArray
    level_: FloatArray
    tasks_: FloatArray
    offset_: float
    doubt_: float

    def describe(self, weights: FloatArray, level: FloatArray, tasks: int) -> Self:
        """Before any label.

        Args:
            weights: (m,) of the known arms, see `likeness`.
            level: (m,) their mean quality.
            tasks: Number of tasks.
        """
        self.reset()
        self.prior_, self.level_ = weights, level
        self.bent_, self.tasks_, self.offset_ = np.zeros(len(weights)), np.zeros(tasks), 0.0
        self.doubt_ = 0.0
        return self

    def learn(self, known: FloatArray, tasks: FloatArray, quality: FloatArray) -> Self:
        """From labels.

        Args:
            known: (k, m) qualities of the known arms on the labelled queries.
            tasks: (k, t) task weights.
            quality: (k,) of the new arm.
        """
        self.check_fitted()
        away = known - self.level_
        mean = float(self.prior_ @ self.level_) + away.mean(axis=1)
        kernel = _LEVEL + _ARMS / away.shape[1] * away @ away.T + _TASKS * tasks @ tasks.T
        inverse = np.linalg.inv(kernel + _NOISE * np.eye(len(quality)))
        alpha = inverse @ (quality - mean)
        self.offset_ = float(_LEVEL * alpha.sum())
        self.bent_ = 1.0 / away.shape[1] - self.prior_ + _ARMS / away.shape[1] * (alpha @ away)
        self.tasks_ = _TASKS * (alpha @ tasks)
        left_out = 1.0 / np.diag(inverse) - _NOISE
        self.doubt_ = float(np.sqrt(np.clip(left_out, 0.0, None).mean()))
        return self

    def predict(self, known: FloatArray, tasks: FloatArray) -> FloatArray:
        """(n,) expected quality, from (n, m) of the known arms and (n, t) task weights."""
        own = known @ self.prior_ + (known - self.level_) @ self.bent_
        return np.asarray(own + self.offset_ + tasks @ self.tasks_)


class GrownCost(CostModel):
    """The costs of a router's arms, and those of arms that came later.

    Attributes:
        parts_: Cost models side by side. None stands for an arm that nothing is known of but its
            price: it costs what its twin costs, times a factor.
        twins_: Column of the twin of each part; -1 for a cost model.
        factors_: Factor of each part; 1 for a cost model.
    """

    parts_: list[CostModel | None]
    twins_: list[int]
    factors_: list[float]

    def begin(self, first: CostModel) -> Self:
        """With the costs of the arms so far."""
        self.reset()
        self.parts_, self.twins_, self.factors_ = [first], [-1], [1.0]
        return self

    def add_arm(self, features: FloatArray, table: OutcomeTable) -> None:
        """Appends the arms of a table, fitted on its queries."""
        self._append(CostModel().fit(features, table), -1, 1.0)

    def add_like(self, twin: int, known: tuple[Arm, ...], arm: Arm) -> None:
        """Appends an arm that costs what a known one costs, in proportion to their prices."""
        old, new = ((a.input_price or 0.0) + (a.output_price or 0.0) for a in (known[twin], arm))
        self._append(None, twin, new / old if old and new else 1.0)

    def _append(self, part: CostModel | None, twin: int, factor: float) -> None:
        self.parts_ = [*self.parts_, part]
        self.twins_, self.factors_ = [*self.twins_, twin], [*self.factors_, factor]

    def predict(self, features: FloatArray) -> FloatArray:
        """(n, m) expected USD per query and arm; NaN where an arm's cost was never seen."""
        cost = np.zeros((len(features), 0))
        for part, twin, factor in zip(self.parts_, self.twins_, self.factors_, strict=True):
            own = cost[:, [twin]] * factor if part is None else part.predict(features)
            cost = np.column_stack([cost, own])
        return cost

    def set_price(self, arm: int, name: str, input_price: float, output_price: float) -> None:
        """Changes one arm's prices, in USD per million tokens.

        Raises:
            UnsupportedError: Its cost is another arm's, or nothing scales.
        """
        for part in self.parts_:
            width = 1 if part is None else len(part.prices_)
            if arm >= width:
                arm -= width
            elif part is None:
                msg = f"the cost of arm {name!r} is guessed: add it again, with some outcomes"
                raise UnsupportedError(msg)
            else:
                part.set_price(arm, name, input_price, output_price)
                return


class GrownRouter(Router):
    """A fitted router and arms that it has not been fitted on.

    `GrownRouter.of(router).add_arm(arm, outcomes)`. The known arms are estimated as before; each
    newcomer by `Newcomer` from the estimates of those before it. A new arm that seems best on
    average takes over the head start of the best single arm.

    Args:
        encoder: Unused; that of the grown router counts.
        seed: Unused; for the contract.
    """

    name = "grown"

    base_: Router
    newcomers_: list[Newcomer]
    cost_: GrownCost

    @classmethod
    def of(cls, router: Router) -> GrownRouter:
        """A router that can take arms and otherwise decides as the given one, which stays as it is.

        Raises:
            NotFittedError: The router is not fitted.
            UnsupportedError: The router decides by the labels of one policy.
        """
        router.check_fitted()
        if router.policy_bound:
            msg = f"router {router.name!r} learned one policy's labels: fit again to add an arm"
            raise UnsupportedError(msg)
        grown = cls(seed=router.seed)
        for name in router._fitted_names():
            if name in Router.__annotations__:
                setattr(grown, name, copy.copy(getattr(router, name)))
        grown.base_, grown.newcomers_ = router, []
        grown.cost_ = GrownCost().begin(copy.deepcopy(router.cost_))
        return grown

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        msg = "a grown router is made by GrownRouter.of(router), not fitted: fit a router first"
        raise UnsupportedError(msg)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        quality = self.base_._estimate_quality(features)
        tasks = self._task_weights(features)
        for newcomer in self.newcomers_:
            quality = np.column_stack([quality, newcomer.predict(quality, tasks)])
        return quality

    def head_start(self, policy: Policy) -> FloatArray | None:
        """(m,) that of the grown router, the best single arm's to whichever is best now.

        A newcomer has to be better by a quarter of the doubt about it.
        """
        if policy.beta > 0 or policy.budget_usd is not None:
            return None
        doubt = [-_CAUTION * newcomer.doubt_ for newcomer in self.newcomers_]
        before = self.base_.head_start(policy)
        known = np.zeros(len(self.base_.arms_)) if before is None else before
        favoured = np.append(known, doubt)
        first = self.base_.best_single_
        if self.best_single_ != first:
            favoured[[first, self.best_single_]] = 0.0, known[first]
        return favoured

    def add_arm(self, arm: Arm, outcomes: OutcomeTable | None = None) -> Self:
        """Adds an arm from its outcomes on some queries, or from its description and prices alone.

        Args:
            arm: The new arm.
            outcomes: Its outcomes. Where they hold those of the known arms on the same queries,
                they say more: estimates stand in for the ones that are missing.

        Raises:
            NotFittedError: The router was not made by `of`.
            TableError: The arm is known, or none of its outcomes is scored.
        """
        if not self.is_fitted:
            raise NotFittedError(type(self).__name__)
        if arm.name in {known.name for known in self.arms_}:
            msg = f"the router already knows {arm.name!r}"
            raise TableError(msg, field="arms")
        level = self.estimate(self.calibration_).quality.mean(axis=0)
        weights = likeness(arm, self.arms_)
        newcomer = Newcomer().describe(weights, level, self.task_coef_.shape[1])
        if outcomes is None:
            self.cost_.add_like(int(np.argmax(weights)), self.arms_, arm)
        else:
            self._learn(newcomer, arm, outcomes)
        self.newcomers_ = [*self.newcomers_, newcomer]
        self.arms_ = (*self.arms_, arm)
        means = self._estimate_quality(self.encode(self.calibration_)).mean(axis=0)
        if means[-1] > means[self.best_single_]:
            self.best_single_ = len(means) - 1
        return self._refresh_frontier()

    def _learn(self, newcomer: Newcomer, arm: Arm, outcomes: OutcomeTable) -> None:
        scored = outcomes.select_arms([arm.name]).observed()[:, 0]
        if not scored.any():
            msg = f"no outcome of {arm.name!r} is scored"
            raise TableError(msg, field="performance")
        outcomes = outcomes.rows(scored)
        features = self.encode(outcomes.texts)
        known = self._estimate_quality(features)
        for column, other in enumerate(self.arms_):
            if other.name in outcomes.arm_names:
                told = outcomes.quality[:, outcomes.arm_names.index(other.name)]
                known[:, column] = np.where(np.isnan(told), known[:, column], told)
        column_of_arm = outcomes.select_arms([arm.name])
        newcomer.learn(known, self.normaliser_.one_hot(outcomes.tasks), column_of_arm.quality[:, 0])
        self.cost_.add_arm(features, column_of_arm)
