"""A router that takes arms it was not fitted on."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.errors import NotFittedError, TableError, UnsupportedError
from fusionfactory.onboarding.cost import GrownCost
from fusionfactory.onboarding.likeness import likeness
from fusionfactory.onboarding.newcomer import Labels, Newcomer, Published
from fusionfactory.routers.base import Queries, Router
from fusionfactory.routers.linear import unit_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, FloatArray

__all__ = ["EVERYWHERE", "GrownRouter"]

EVERYWHERE = "all"
"""In the place of a task's name: a published score on the mix of queries that the router knows."""


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

    def encode(self, queries: Queries) -> FloatArray:
        """As the grown router does."""
        self.check_fitted()
        return self.base_.encode(queries)

    def _task_weights(self, features: FloatArray) -> FloatArray:
        return self.base_._task_weights(features)

    def _topics(self, features: FloatArray) -> FloatArray:
        """(n, d) rows of length 1 for nearness; d is 0 for a router that reads no features."""
        if not self.base_.uses_features:
            return np.zeros((len(features), 0), dtype=np.float32)
        return unit_rows(self.base_.views_.metric(features))

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        quality = self.base_._estimate_quality(features)
        tasks, topics = self._task_weights(features), self._topics(features)
        for newcomer in self.newcomers_:
            quality = np.column_stack([quality, newcomer.predict(quality, tasks, topics)])
        return quality

    def head_start(self, policy: Policy) -> FloatArray | None:
        """(m,) that of the grown router, the best single arm's to whichever is best now."""
        before = self.base_.head_start(policy)
        if before is None:
            return None
        favoured = np.append(before, np.zeros(len(self.newcomers_)))
        first = self.base_.best_single_
        if self.best_single_ != first:
            favoured[[first, self.best_single_]] = 0.0, before[first]
        return favoured

    def add_arm(
        self,
        arm: Arm,
        outcomes: OutcomeTable | None = None,
        *,
        published: Mapping[str, float] | None = None,
    ) -> Self:
        """Adds an arm from its outcomes on some queries, from published scores, or from neither.

        Args:
            arm: The new arm. With nothing else, its description and prices say what it is like.
            outcomes: Its outcomes. Where they hold those of the known arms on the same queries,
                they say more.
            published: Task to its mean quality there, in [0, 1], as measured elsewhere in the same
                way; `all` for the mix of queries that the router was fitted on.

        Raises:
            NotFittedError: The router was not made by `of`.
            TableError: The arm is known, none of its outcomes is scored, or a published score is
                none or for an unknown task.
        """
        if not self.is_fitted:
            raise NotFittedError(type(self).__name__)
        if arm.name in {known.name for known in self.arms_}:
            msg = f"the router already knows {arm.name!r}"
            raise TableError(msg, field="arms")
        weights = likeness(arm, self.arms_)
        newcomer = Newcomer().describe(weights, self.task_coef_.shape[1])
        rows = self._topics(self.encode(self.calibration_))
        labels = Labels.none(len(self.arms_), self.task_coef_.shape[1], rows.shape[1])
        scores = self._published(published) if published else None
        if outcomes is None:
            self.cost_.add_like(int(np.argmax(weights)), self.arms_, arm)
        else:
            labels = self._labels(arm, outcomes)
        if outcomes is not None or scores is not None:
            newcomer.learn(labels, scores)
        self.newcomers_ = [*self.newcomers_, newcomer]
        self.arms_ = (*self.arms_, arm)
        means = self._estimate_quality(self.encode(self.calibration_)).mean(axis=0)
        if means[-1] > means[self.best_single_]:
            self.best_single_ = len(means) - 1
        return self._refresh_frontier()

    def _labels(self, arm: Arm, outcomes: OutcomeTable) -> Labels:
        """What the arm's scored outcomes say; the cost model takes in what they cost."""
        scored = outcomes.select_arms([arm.name]).observed()[:, 0]
        if not scored.any():
            msg = f"no outcome of {arm.name!r} is scored"
            raise TableError(msg, field="performance")
        outcomes = outcomes.rows(scored)
        own = outcomes.select_arms([arm.name])
        features = self.encode(outcomes.texts)
        known = self._estimate_quality(features)
        luck = np.zeros_like(known)
        for column, other in enumerate(self.arms_):
            if other.name in outcomes.arm_names:
                told = outcomes.quality[:, outcomes.arm_names.index(other.name)]
                luck[:, column] = np.nan_to_num(told - known[:, column])
        self.cost_.add_arm(features, own)
        # as guessed, not as named: so they are later, when no one tells the task
        tasks = self._task_weights(features)
        return Labels(known, luck, tasks, self._topics(features), own.quality[:, 0])

    def _published(self, published: Mapping[str, float]) -> Published:
        """Published scores against what the known arms are expected to reach on the same tasks."""
        names = self.normaliser_.tasks_
        rows = self.encode(self.calibration_)
        tasks = self._task_weights(rows)
        # a soft mix would lay a task's score on the queries of its neighbours
        guessed = tasks.argmax(axis=1)
        weights = []
        for task, score in published.items():
            if task not in {*names, EVERYWHERE}:
                told = ", ".join(names)
                msg = f"no task {task!r} of which a score could tell; the router knows {told}"
                raise TableError(msg, field="published")
            if not 0 <= score <= 1:
                msg = f"the score of {task!r} must be in [0, 1], got {score}"
                raise TableError(msg, field="published")
            column = names.index(task) if task != EVERYWHERE else None
            mix = np.ones(len(rows)) if column is None else 1.0 * (guessed == column)
            if column is not None and not mix.any():
                mix = tasks[:, column]
            weights.append(mix / mix.sum())
        return Published(
            np.asarray(weights),
            self._estimate_quality(rows),
            tasks,
            self._topics(rows),
            np.asarray(list(published.values())),
        )
