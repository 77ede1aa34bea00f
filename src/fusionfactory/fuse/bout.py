"""What takes part on one split under one policy, and what each chose, on train out of fold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.contest import Entry, baseline_entries, oracle_entry
from fusionfactory.fuse.arena import NO_ARM, with_columns
from fusionfactory.fuse.levels import FUSED, QUERY, TASK_LEVEL
from fusionfactory.metrics import curve, mean_or_nan, taken
from fusionfactory.policy import choose
from fusionfactory.trial import run_router

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.contest import Contest
    from fusionfactory.fuse.arena import Answered
    from fusionfactory.fuse.planned import Planned
    from fusionfactory.fuse.routed import Routed, Setting
    from fusionfactory.policy import Policy
    from fusionfactory.routers import Router
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Bout"]


@dataclass
class Bout:
    """A split under one policy: its contest has a column per plan, and an entry per row.

    Attributes:
        contest: Arms, then plans; the test side and, out of fold, the train side.
        singles: Name of a fixed level to the arm that was best for it on train.
        task_levels: Task to the name of the row that was best for it on train.
        plans: Name of a plan to what it did on the test side.
        router: The fused choice's, fitted.
    """

    contest: Contest
    policy: Policy
    singles: dict[str, str] = field(default_factory=dict)
    task_levels: dict[str, str] = field(default_factory=dict)
    plans: dict[str, Answered] = field(default_factory=dict)
    router: Router = field(init=False)

    @classmethod
    def of(
        cls,
        contest: Contest,
        policy: Policy,
        setting: Setting,
        routed: Mapping[str, Routed],
        planned: Sequence[Planned],
    ) -> Bout:
        """Lets everything answer.

        Args:
            contest: Of the arms alone.
            policy: To choose by.
            setting: Levels and router.
            routed: What the query level's router chose, by policy.
            planned: The plans, fitted under this policy.
        """
        train = with_columns(contest.train, {plan.name: plan.train for plan in planned})
        tested = {plan.name: plan.test for plan in planned}
        joint = replace(contest, train=train, test=with_columns(contest.test, tested), entries={})
        bout = cls(joint, policy, plans=tested)
        joint.entries.update(baseline_entries(contest, [policy]))
        joint.entries["oracle"] = oracle_entry(contest, [policy])
        chosen = bout._levels(setting, routed) | bout._plans(planned)
        bout._task_level(chosen)
        bout._fuse(setting, routed)
        bout._arms(len(contest.train.arms))
        return bout

    def _levels(self, setting: Setting, routed: Mapping[str, Routed]) -> dict[str, IntArray]:
        """Adds the levels' entries; name to (n,) columns chosen on train."""
        train = self.contest.train
        rewards = self.contest.reward(train, self.policy)
        cost = train.arm_cost_usd()
        chosen: dict[str, IntArray] = {}
        for level in setting.levels:
            if level.name == QUERY:
                self.contest.entries[QUERY] = routed[self.policy.name].entry
                chosen[QUERY] = routed[self.policy.name].train
                continue
            columns = [train.arm_names.index(name) for name in level.arms]
            means = np.array([mean_or_nan(rewards[:, column]) for column in columns])[None]
            best = columns[
                int(choose(np.nan_to_num(means, nan=-np.inf), cost[None, columns], level.arms)[0])
            ]
            self.singles[level.name] = train.arm_names[best]
            chosen[level.name] = self._constant(level.name, best)
        return chosen

    def _plans(self, planned: Sequence[Planned]) -> dict[str, IntArray]:
        chosen = {}
        for plan in planned:
            column = self.contest.train.arm_names.index(plan.name)
            chosen[plan.name] = self._constant(plan.name, column)
            entry = self.contest.entries[plan.name]
            entry.fit_s, entry.route_us_per_query = plan.fit_s, float("nan")
            if len(plan.points):
                entry.points = plan.points
        return chosen

    def _constant(self, name: str, column: int) -> IntArray:
        """Adds the entry of one column for every query; (n,) its column on train."""
        test = self.contest.test
        picks = np.full(len(test), column)
        self._add(name, picks)
        return np.full(len(self.contest.train), column)

    def _add(self, name: str, picks: IntArray) -> None:
        entry = Entry(name, picks={self.policy.name: picks})
        test = self.contest.test
        entry.points = curve(test.quality, test.cost_usd, picks[None])
        self.contest.entries[name] = entry

    def _task_level(self, chosen: Mapping[str, IntArray]) -> None:
        """Per true task label the level or plan that was best on train: what is to be beaten."""
        train, test = self.contest.train, self.contest.test
        rewards = self.contest.reward(train, self.policy)
        names = list(chosen)
        reward = np.stack([taken(rewards, picks) for picks in chosen.values()], axis=1)
        cost = np.stack([taken(train.cost_usd, picks) for picks in chosen.values()], axis=1)
        overall = _best(reward, cost, names)
        picks = np.empty(len(test), dtype=np.int64)
        for task in sorted(set(test.tasks.tolist())):
            mine = train.tasks == task
            best = _best(reward[mine], cost[mine], names) if mine.any() else overall
            self.task_levels[task] = names[best]
            rows = test.tasks == task
            picks[rows] = self.contest.entries[names[best]].picks[self.policy.name][rows]
        self._add(TASK_LEVEL, picks)

    def _fuse(self, setting: Setting, routed: Mapping[str, Routed]) -> None:
        """Adds the entry of one router over all arms and plans; it sees no task label."""
        query = next((level for level in setting.levels if level.name == QUERY), None)
        if query and query.arms == self.contest.train.arm_names:
            entry, self.router = routed[self.policy.name].entry, routed[self.policy.name].router
        else:
            self.router = setting.make(self.contest.seed)
            entry = run_router(self.router, self.contest, [self.policy], None)
        self.contest.entries[FUSED] = replace(entry, name=FUSED)

    def _arms(self, count: int) -> None:
        for column, name in enumerate(self.contest.test.arm_names[:count]):
            self._constant(name, column)

    def answered(self, name: str) -> IntArray:
        """(n,) columns of the arms whose answers a row's queries got, plans looked through.

        What a judge wrote that is no arm of the table stands in a column behind the arms.
        """
        arms = len(self.contest.test.arms) - len(self.plans)
        columns = self.contest.entries[name].picks[self.policy.name].copy()
        for plan, answer in self.plans.items():
            through = columns == self.contest.test.arm_names.index(plan)
            given = answer.arms[through]
            columns[through] = np.where(given == NO_ARM, arms, given)
        return columns


def _best(reward: FloatArray, cost: FloatArray, names: Sequence[str]) -> int:
    means = np.array([mean_or_nan(column) for column in reward.T])[None]
    costs = np.array([mean_or_nan(column) for column in cost.T])[None]
    return int(choose(np.nan_to_num(means, nan=-np.inf), costs, names)[0])
