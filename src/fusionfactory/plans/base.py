"""The plan contract: `fit` on outcomes with answers, `begin` with queries, `advise` what to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from fusionfactory.answers import AnswerGroups, group_answers
from fusionfactory.errors import ConfigError, TableError
from fusionfactory.estimator import Estimator
from fusionfactory.plans.competence import Competence
from fusionfactory.plans.reader import Reader
from fusionfactory.plans.state import Advice, Said, State
from fusionfactory.plans.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fusionfactory.encoders import Encoder
    from fusionfactory.plans.competence import Outlook
    from fusionfactory.plans.lineup import Lineup
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, BoolArray, FloatArray, IntArray

__all__ = ["Plan"]

_FEWEST_QUERIES = 20


class Plan(Estimator, ABC):
    """An arm that asks other arms, in an order and until a rule says stop.

    A plan never calls anything itself. Whoever runs it (`replay` offline, a gateway online) asks
    the arms that `advise` names, tells the state what they said, and asks for advice again until
    no arm is named.

    Args:
        encoder: See `Competence`.
        folds: Of the cross-fitting.
        seed: Of everything random in `fit`.

    Attributes:
        arms_: The m arms that the plan may ask, in the order of its columns.
        columns_: (m,) their columns in the training table.
        quality_: (m,) their mean training quality; NaN without an outcome.
        tasks_: The training tasks with their metrics, in the order of the outlook's topics.
    """

    kind: ClassVar[str] = "plan"
    reads_free_text: ClassVar[bool] = False
    """Whether it tells answers apart whose metric does not say when they are the same."""

    arms_: tuple[Arm, ...]
    columns_: IntArray
    quality_: FloatArray
    tasks_: Tasks
    competence_: Competence
    reader_: Reader
    fingerprint_: str
    seen_: NDArray[np.uint64]
    metrics_: dict[str, float]

    def __init__(self, *, encoder: str | Encoder = "text", folds: int = 5, seed: int = 0) -> None:
        self.encoder = encoder
        self.folds = folds
        self.seed = seed

    def fit(
        self,
        table: OutcomeTable,
        policy: Policy | None = None,
        answers: AnswerGroups | None = None,
    ) -> Self:
        """Learns from outcomes, forgetting any earlier fit.

        Args:
            table: n queries by all arms that the plan may choose from; those on which no arm is
                scored teach nothing.
            policy: The trade-off to run by; quality first by default.
            answers: Which arms answered alike, where that is known already: `group_answers`.

        Raises:
            ConfigError: There are fewer than two folds.
            TableError: There are too few scored queries, or the table holds no responses.
        """
        if self.folds < 2:
            msg = f"must be at least 2, got {self.folds}"
            raise ConfigError(msg, field="folds")
        scored = np.asarray(table.observed().any(axis=1))
        count = int(scored.sum())
        if count < _FEWEST_QUERIES:
            msg = f"a plan learns from at least {_FEWEST_QUERIES} scored queries, got {count}"
            raise TableError(msg, field="performance")
        if not scored.all():
            table, answers = table.rows(scored), answers and answers.rows(scored)
        answers = answers or group_answers(table)
        self.reset()
        self.fingerprint_ = table.fingerprint()
        self.seen_ = table.text_digests()
        self.metrics_ = {}
        groups = table.groups()
        count = int(groups.max()) + 1
        order = np.random.default_rng(self.seed).permutation(count)
        folds = np.asarray(order[groups] % min(self.folds, count))
        self.competence_ = Competence(encoder=self.encoder, seed=self.seed)
        outlook = self.competence_.fit(table, folds)
        self.tasks_ = Tasks().fit(table)
        self.reader_ = Reader()
        reading = self.reader_.fit(outlook, answers, table.quality, folds)
        said = Said(answers.groups, answers.lengths, reading)
        self._fit(table, said, outlook, folds, policy)
        return self

    @abstractmethod
    def _fit(
        self,
        table: OutcomeTable,
        said: Said,
        outlook: Outlook,
        folds: IntArray,
        policy: Policy | None,
    ) -> None:
        """Chooses arms, by `_keep`, and learns the rules.

        Args:
            table: n queries by all arms.
            said: What they said, read out of fold.
            outlook: Of the training queries on all arms, out of fold.
            folds: (n,) fold of every query.
            policy: As given to `fit`.
        """

    def _keep(self, table: OutcomeTable, columns: IntArray) -> None:
        self.columns_ = np.asarray(columns)
        self.arms_ = tuple(table.arms[column] for column in columns)
        self.quality_ = table.arm_quality()[columns]

    def begin(self, texts: Sequence[str]) -> State:
        """The state of n new queries before any arm was asked.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        return State.fresh(self.competence_.predict(texts).columns(self.columns_))

    def hear(self, state: State, answers: AnswerGroups) -> Said:
        """What the plan's arms said, with how right it reads.

        Args:
            state: Of `begin`, of the same n queries.
            answers: Of the plan's arms in their order.
        """
        reading = self.reader_.predict(state.outlook, answers, self.columns_)
        return Said(answers.groups, answers.lengths, reading)

    def own(
        self, table: OutcomeTable, answers: AnswerGroups | None
    ) -> tuple[OutcomeTable, AnswerGroups]:
        """The recorded outcomes of the plan's arms, in its order, and what they answered.

        Args:
            table: With at least the plan's arms.
            answers: The groups of the table's answers, where they are known already.

        Raises:
            TableError: The table lacks an arm of the plan, or holds no responses.
        """
        names = [arm.name for arm in self.arms_]
        own = table.select_arms(names)
        if answers is None:
            return own, group_answers(own)
        return own, answers.columns([table.arm_names.index(name) for name in names])

    def lineup(
        self, question: str, responses: Sequence[str | None], groups: Sequence[int]
    ) -> Lineup | None:
        """What the last arm is asked instead of the question, where it judges what others said.

        Args:
            question: Its text.
            responses: Of the arms before it, in the order of `arms_`.
            groups: Of their answers.

        Returns:
            None where every arm is asked the question itself.
        """
        return None

    @abstractmethod
    def advise(self, state: State) -> Advice:
        """Which arms to ask next for every query, and which answer stands meanwhile."""

    @staticmethod
    def _standing(state: State, ballot: IntArray, votes: BoolArray) -> IntArray:
        """(n,) the arm to answer by: of those that gave the leading answer, the best to read.

        Where no answer stands it is the arm asked that knew most; -1 where none was asked.
        """
        odds: FloatArray = np.where(state.asked, state.outlook.log_odds, -np.inf)
        fallback = np.where(state.asked.any(axis=1), odds.argmax(axis=1), -1)
        if not len(votes):
            return np.asarray(fallback)
        reading = np.where(votes[ballot], state.reading, -np.inf)
        return np.where(ballot >= 0, reading.argmax(axis=1), fallback)
