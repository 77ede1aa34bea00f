"""The answers of a table in groups: per query, which arms said the same."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.answers.kinds import make_equivalence
from fusionfactory.answers.words import hashed_words
from fusionfactory.errors import TableError, UnknownNameError
from fusionfactory.types import JUDGE_ONLY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy.sparse import csr_matrix

    from fusionfactory.answers.base import Answer, Equivalence
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["AnswerGroups", "group_answers", "group_responses", "incomparable"]

_NONE = -1


@dataclass(frozen=True, eq=False)
class AnswerGroups:
    """What m arms answered to n queries: who said the same, in which words, how long and how sure.

    Attributes:
        groups: (n, m) number of the group of equivalent answers, per query from 0 in the order of
            the arms; -1 where an arm gave no answer, and so agrees with nobody.
        lengths: (n, m) characters of the response; NaN where there is none.
        words: (n * m, w) hashed words of the responses, query by query: `hashed_words`.
        logprobs: (n, m) mean log-probability of the response's tokens; NaN where unknown.
    """

    groups: IntArray
    lengths: FloatArray
    words: csr_matrix
    logprobs: FloatArray

    @classmethod
    def of(
        cls,
        groups: IntArray,
        responses: Sequence[str | None],
        logprobs: FloatArray | None = None,
    ) -> AnswerGroups:
        """Of n * m responses, query by query, whose (n, m) groups are known.

        Args:
            groups: See above.
            responses: n * m texts, query by query; None where there is none.
            logprobs: See above; None where none is known.
        """
        if logprobs is None:
            logprobs = np.full(groups.shape, np.nan)
        lengths = np.array(
            [np.nan if text is None else len(text) for text in responses], dtype=float
        )
        return cls(groups, lengths.reshape(groups.shape), hashed_words(responses), logprobs)

    def rows(self, index: IntArray | BoolArray) -> AnswerGroups:
        """The answers to these queries."""
        return AnswerGroups(
            self.groups[index],
            self.lengths[index],
            self.words[self._places()[index].ravel()],
            self.logprobs[index],
        )

    def columns(self, index: Sequence[int] | IntArray) -> AnswerGroups:
        """The answers of these arms in this order, the groups numbered anew."""
        return AnswerGroups(
            _renumbered(self.groups[:, index]),
            self.lengths[:, index],
            self.words[self._places()[:, index].ravel()],
            self.logprobs[:, index],
        )

    def _places(self) -> IntArray:
        """(n, m) rows of `words`."""
        return np.arange(self.groups.size).reshape(self.groups.shape)


def group_answers(table: OutcomeTable, *, workers: int = 2) -> AnswerGroups:
    """Groups what the arms of a table answered, per query by the equivalence of its metric.

    Queries that only a judge can score, those without a metric and those whose metric has no
    equivalence have no groups; `incomparable` counts them.

    Args:
        table: With responses.
        workers: Threads; expressions are compared and programs run in processes of their own.

    Raises:
        TableError: The table holds no responses.
        MissingExtraError: An equivalence needs a package that is not installed.
        SandboxError: There is code to run and no way to isolate it.
    """
    if table.responses is None:
        msg = (
            "the table holds no responses, and answers are compared by what they say: "
            "collect with responses, or import a file that has them"
        )
        raise TableError(msg, field="response")
    responses = table.responses
    metrics, texts = table.queries["metric"].to_list(), table.texts
    known = {metric: _equivalence(metric) for metric in set(metrics)}

    def grouped(row: int) -> list[int]:
        equivalence = known[metrics[row]]
        if equivalence is None:
            return [_NONE] * responses.shape[1]
        return group_responses(equivalence, texts[row], responses[row])

    with ThreadPoolExecutor(workers, thread_name_prefix="answers") as pool:
        groups = list(pool.map(grouped, range(len(table))))
    numbers = np.array(groups, dtype=np.int64).reshape(responses.shape)
    return AnswerGroups.of(numbers, responses.ravel().tolist(), table.logprob)


def incomparable(table: OutcomeTable) -> dict[str, int]:
    """Metric to the number of its queries whose answers cannot be compared; most queries first.

    Queries without a metric count under the empty name.
    """
    counts = Counter(table.queries["metric"].to_list())
    return {
        metric or "": number for metric, number in counts.most_common() if not _equivalence(metric)
    }


def _equivalence(metric: str | None) -> Equivalence | None:
    if metric is None or metric == JUDGE_ONLY:
        return None
    try:
        return make_equivalence(metric)
    except UnknownNameError:
        return None


def group_responses(
    equivalence: Equivalence, question: str, responses: Sequence[str | None]
) -> list[int]:
    """Group numbers of the responses to one question, from 0; -1 where there is no answer."""
    answers = [equivalence.read(question, text) if text else None for text in responses]
    distinct = {answer.key: answer for answer in answers if answer is not None}
    groups: list[list[Answer]] = []
    for answer in distinct.values():
        joined = [group for group in groups if any(equivalence.same(answer, a) for a in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([answer, *(member for group in joined for member in group)])
    place = {answer.key: number for number, group in enumerate(groups) for answer in group}
    found = [_NONE if answer is None else place[answer.key] for answer in answers]
    order = {number: rank for rank, number in enumerate(dict.fromkeys(n for n in found if n >= 0))}
    return [order.get(number, _NONE) for number in found]


def _renumbered(groups: IntArray) -> IntArray:
    """Numbers from 0 in the order of the columns."""
    n, m = groups.shape
    same = (groups[:, :, None] == groups[:, None, :]) & (groups[:, None, :] != _NONE)
    first = np.where(same.any(axis=2), same.argmax(axis=2), _NONE)
    heads = first == np.arange(m)
    ranks = np.cumsum(heads, axis=1) - 1
    found = np.where(first == _NONE, _NONE, np.take_along_axis(ranks, first.clip(0), axis=1))
    return found.reshape(n, m).astype(np.int64)
