"""By what answers are chosen: the criterion, and what is turned away whatever it says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from fusionfactory.errors import DistillError

__all__ = ["CRITERIA", "ContaminationSettings", "PairSettings", "SelectSettings"]

CRITERIA = ("best", "performance", "judge", "hybrid", "label")
"""`best` is this package's own; the others are the paper's (arXiv 2507.10540)."""


@dataclass(frozen=True)
class ContaminationSettings:
    """When a train question counts as one that is held out.

    Attributes:
        ngram: Words of the runs that are compared.
        share: Of a train question's runs, how many must stand in one held-out question.
        against: Further files of held-out questions.

    Raises:
        DistillError: A number is out of its range.
    """

    ngram: int = 8
    share: float = 0.5
    against: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _at_least("ngram", self.ngram, 1)
        _share("share", self.share)


@dataclass(frozen=True)
class PairSettings:
    """Which two answers to one question make a preference pair.

    Attributes:
        min_gap: Difference in quality from which one answer is better.
        min_judge_gap: Where no two differ so much in quality: difference in the judge's score from
            which one of two right answers is better. None makes no such pair.
        per_query: Pairs of a question at most; no answer stands in two.
        same_source: Both answers are of one model.
        length_ratio: How many times longer one answer may be than the other; None for any.

    Raises:
        DistillError: A number is out of its range.
    """

    min_gap: float = 0.5
    min_judge_gap: float | None = None
    per_query: int = 1
    same_source: bool = False
    length_ratio: float | None = None

    def __post_init__(self) -> None:
        _share("min_gap", self.min_gap)
        if self.min_judge_gap is not None:
            _share("min_judge_gap", self.min_judge_gap)
        _at_least("per_query", self.per_query, 1)
        if self.length_ratio is not None:
            _at_least("length_ratio", self.length_ratio, 1)


@dataclass(frozen=True)
class SelectSettings:
    """What is asked of an answer. Unset values are the criterion's own.

    Under `best` an answer has to be right, complete, scored the same again and unlike a better one
    to its question. The paper's criteria take any answer, right or not.

    Attributes:
        criterion: One of `CRITERIA`.
        top_k: Answers of a question at most.
        min_quality: The least quality; None for 1 under `best`, else 0.
        min_judge: The least score of the judge. Tasks that only a judge scores are right from here,
            or from .8.
        source_arms: Names of arms or models whose answers count; all where none is named.
        max_price: USD per million output tokens; dearer arms, and those of unknown price, do not
            count.
        tasks: Only these; all where none is named.
        split: Only questions of this split; `all` for any.
        strategy: How the student will be asked, whatever the arms were asked: `direct`, `think`.
        student: The arm whose lengths answers are held against.
        stretch: How many times as long an answer may be as nine tenths of the student's own.
        always_fits: Tokens that are never too many, however little the student says of itself.
        max_tokens: The longest answer where the student's own are not known.
        solved: Lowest and highest share of the arms that are right on a question.
        verify: Score again what is taken; None for yes under `best`.
        distinct: Drop answers near to a better one; None for yes under `best`.
        near: Share of the word runs of two answers that both have from which they are near.
        one_per_model: Of each model the best answer only.
        per_task: Examples of a task at most.
        token_budget: Tokens of all prompts and answers, spread evenly over the tasks.
        contamination: None does not look for held-out questions.
        pairs: None makes no preference pairs.
        seed: Of the order of what is equal.

    Raises:
        DistillError: A value is unknown or out of its range.
    """

    criterion: str = "best"
    top_k: int = 5
    min_quality: float | None = None
    min_judge: float | None = None
    source_arms: tuple[str, ...] = ()
    max_price: float | None = None
    tasks: tuple[str, ...] = ()
    split: str = "train"
    strategy: str = "direct"
    student: str | None = None
    stretch: float = 2.0
    always_fits: int = 64
    max_tokens: int | None = None
    solved: tuple[float, float] | None = None
    verify: bool | None = None
    distinct: bool | None = None
    near: float = 0.8
    one_per_model: bool = False
    per_task: int | None = None
    token_budget: int | None = None
    contamination: ContaminationSettings | None = field(default_factory=ContaminationSettings)
    pairs: PairSettings | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            msg = f"{self.criterion!r} is no criterion; expected one of {', '.join(CRITERIA)}"
            raise DistillError(msg, field="criterion")
        for name in ("min_quality", "min_judge"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                msg = f"{value} is no score: it must lie in [0, 1]"
                raise DistillError(msg, field=name)
        _at_least("top_k", self.top_k, 1)
        _at_least("stretch", self.stretch, 1)
        _share("near", self.near)
        for name in ("always_fits", "max_tokens", "token_budget", "per_task"):
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), 1)
        if self.per_task is not None and self.per_task < self.top_k:
            msg = (
                f"{self.per_task} examples of a task are fewer than a question may have: top_k is "
                f"{self.top_k}"
            )
            raise DistillError(msg, field="per_task")
        self._check_solved()
        if self.pairs is not None and self.criterion == "label":
            msg = "the criterion 'label' takes no answers, so there are no two to compare"
            raise DistillError(msg, field="pairs")

    def _check_solved(self) -> None:
        if self.solved is None:
            return
        low, high = self.solved
        if not 0 <= low <= high <= 1:
            msg = f"{low}:{high} is no range of shares; expected 0 <= low <= high <= 1"
            raise DistillError(msg, field="solved")

    @property
    def is_best(self) -> bool:
        """Whether the criterion is this package's own."""
        return self.criterion == "best"

    @property
    def least_quality(self) -> float:
        """The least quality of an answer that counts."""
        return float(self.is_best) if self.min_quality is None else self.min_quality

    @property
    def verifies(self) -> bool:
        """Whether what is taken is scored again."""
        return self.is_best if self.verify is None else self.verify

    @property
    def drops_near(self) -> bool:
        """Whether answers near to a better one are dropped."""
        return self.is_best if self.distinct is None else self.distinct

    def as_json(self) -> dict[str, Any]:
        """JSON values, with what was left to the criterion filled in."""
        filled = {
            "min_quality": self.least_quality,
            "verify": self.verifies,
            "distinct": self.drops_near,
        }
        found: dict[str, Any] = json.loads(json.dumps(asdict(self) | filled))
        return found


def _at_least(name: str, value: float, least: int) -> None:
    if not value >= least:
        msg = f"{value} is too few: expected {least} or more"
        raise DistillError(msg, field=name)


def _share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        msg = f"{value} is no share: it must lie in (0, 1]"
        raise DistillError(msg, field=name)
