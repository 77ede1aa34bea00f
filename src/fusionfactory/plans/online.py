"""A plan that runs for one question on whatever answers: `execute`, step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.answers.groups import AnswerGroups, group_responses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.answers import Equivalence
    from fusionfactory.plans.base import Plan
    from fusionfactory.plans.lineup import Lineup
    from fusionfactory.plans.state import State

__all__ = ["Run"]


class Run:
    """One question on its way through a plan.

    Whoever runs it asks the arms of `call`, tells what they said, and does so again until `call` is
    empty. Calls and answers are those of `replay` on the same responses. A judge is asked the
    prompts of `lineup`, and told is what the line-up makes of its replies.

    Args:
        plan: Fitted.
        state: Of `plan.begin`, of one query.
        question: Its text.
        equivalence: Says which answers agree.

    Attributes:
        call: Names of the arms to ask next.
        lineup: What the one arm of `call` is asked, where it is to judge what the others said; None
            where arms are asked the question itself.
        confidence: Probability that the answer that stands is right.
    """

    def __init__(
        self, plan: Plan, state: State, *, question: str, equivalence: Equivalence
    ) -> None:
        self._plan, self._state = plan, state
        self._question, self._equivalence = question, equivalence
        self._names = [arm.name for arm in plan.arms_]
        self._responses: list[str | None] = [None] * len(self._names)
        self._logprobs = np.full((1, len(self._names)), np.nan)
        self._advise([-1] * len(self._names))

    @property
    def answer(self) -> str | None:
        """The arm whose answer stands best so far; None while none has answered.

        The plan may take the arm that knew most for the one to answer by where no answer could be
        read; here, of those that said anything.
        """
        if self._standing >= 0 and self._responses[self._standing] is not None:
            return self._names[self._standing]
        said = np.array([text is not None for text in self._responses])
        odds = np.where(said, self._state.outlook.log_odds[0], -np.inf)
        return self._names[int(odds.argmax())] if said.any() else None

    def told(
        self,
        responses: Mapping[str, str | None],
        logprobs: Mapping[str, float | None] | None = None,
    ) -> None:
        """Goes on with what the arms that were asked said, and looks for the next ones.

        Args:
            responses: Arm to its response; None where it gave none.
            logprobs: Arm to the mean log-probability of its response's tokens, where it is known.

        Raises:
            FusionFactoryError: The answers cannot be compared: a package is missing, or programs
                cannot be run apart.
        """
        for name, text in responses.items():
            self._responses[self._names.index(name)] = text
        for name, logprob in (logprobs or {}).items():
            self._logprobs[0, self._names.index(name)] = np.nan if logprob is None else logprob
        asked = np.array([[name in responses for name in self._names]])
        groups = np.array([group_responses(self._equivalence, self._question, self._responses)])
        said = self._plan.hear(
            self._state, AnswerGroups.of(groups, self._responses, self._logprobs)
        )
        # A later answer may join groups that stood apart, so that all are numbered anew.
        self._state = replace(self._state.told(asked, said), groups=groups)
        self._advise(groups[0].tolist())

    def _advise(self, groups: list[int]) -> None:
        advice = self._plan.advise(self._state)
        self.call = tuple(self._names[i] for i in np.nonzero(advice.call[0])[0])
        self.confidence = float(advice.confidence[0])
        self._standing = int(advice.answer[0])
        self.lineup: Lineup | None = None
        if self.call == (self._names[-1],):
            others = self._responses[:-1], groups[:-1]
            self.lineup = self._plan.lineup(self._question, *others)
