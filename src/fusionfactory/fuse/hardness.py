"""How steady the fused choice is: edits and triggers on one split, beside the arms' ceilings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.fuse.arena import stacked
from fusionfactory.fuse.levels import FUSED
from fusionfactory.robustness import Robustness, examine

if TYPE_CHECKING:
    from fusionfactory.fuse.bout import Bout

__all__ = ["examined"]


def examined(bout: Bout, draws: int) -> dict[str, Any]:
    """What `Robustness.to_json` tells of the fused router on the bout's test side.

    A plan counts as an arm whose answer an edit does not change; the ceilings are those of the
    single arms.

    Args:
        bout: With its fused router.
        draws: Bootstrap resamples.
    """
    train, test = bout.contest.train, bout.contest.test
    exam = examine(
        bout.router, train, test, bout.policy, name=FUSED, seed=bout.contest.seed, draws=draws
    )
    alone = stacked([train, test]).select_arms(test.arm_names[: len(test.arms) - len(bout.plans)])
    return Robustness.of([exam], alone, bout.policy, bout.contest.seed).to_json()
