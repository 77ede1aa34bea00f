"""The splits under all policies that measure quality alike: by the task metric or by the judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from fusionfactory.fuse.bout import Bout
from fusionfactory.fuse.levels import QUERY, levels_of
from fusionfactory.fuse.routed import route

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fusionfactory.contest import Contest
    from fusionfactory.fuse.levels import Level
    from fusionfactory.fuse.planned import Planning
    from fusionfactory.fuse.routed import Setting
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable

__all__ = ["Rounds"]


@dataclass
class Rounds:
    """The policies that measure quality alike: by the task's metric, or by the judge.

    Attributes:
        table: Its quality is the measured one.
        policies: To choose by.
        planning: The plans between the table's arms.
        levels: Of the table's arms.
        bouts: Policy name to one bout per seed.
    """

    table: OutcomeTable
    policies: list[Policy]
    planning: Planning
    levels: list[Level]
    bouts: dict[str, list[Bout]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        table: OutcomeTable,
        policies: list[Policy],
        planning: Planning,
        students: Collection[str],
    ) -> Self:
        """With the levels of the table's arms; students without an arm there are left out."""
        models = {arm.model for arm in table.arms}
        return cls(
            table, policies, planning, levels_of(table.arms, [s for s in students if s in models])
        )

    def run(self, contest: Contest, setting: Setting, report: Callable[[str], None]) -> None:
        """Adds a bout under every policy on one split."""
        report(setting.router)
        last = self.levels[-1]
        routed = route(contest, self.policies, last, setting) if last.name == QUERY else {}
        planned = self.planning.run(contest, self.policies, setting.encoder, report)
        for policy in self.policies:
            bout = Bout.of(contest, policy, setting, routed, planned[policy.name])
            self.bouts.setdefault(policy.name, []).append(bout)

    def to_json(self) -> dict[str, Any]:
        """What is told of levels and plans."""
        return {
            "judged": any(policy.judge for policy in self.policies),
            "levels": [{"name": level.name, "arms": list(level.arms)} for level in self.levels],
            "plans": self.planning.told,
            "plans_left_out": self.planning.reason,
            "plan_notes": self.planning.notes,
        }
