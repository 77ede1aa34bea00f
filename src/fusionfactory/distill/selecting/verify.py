"""Scores again what is about to be taken: a score that does not come again is not trusted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from fusionfactory.errors import TaskError
from fusionfactory.scorers import make_scorer
from fusionfactory.types import JUDGE_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

    from fusionfactory.scorers import Scorer
    from fusionfactory.types import Query

__all__ = ["Verifier"]

_SAME = 1e-9
_BATCH = 64


class Verifier:
    """Whether answers are worth what the store says, by the scorers of today; each asked once.

    Args:
        queries: Id to question, with target and metric.
        progress: Told how many were scored, of how many, and what of.
        workers: Threads; code runs in as many sandboxes at a time.
    """

    def __init__(
        self,
        queries: Mapping[str, Query],
        *,
        progress: Callable[[int, int, str], None] | None = None,
        workers: int = 2,
    ) -> None:
        self._queries, self._progress, self._workers = queries, progress, workers
        self._scorers: dict[str, Scorer] = {}
        self._known: dict[int, bool] = {}

    @property
    def refuted(self) -> list[int]:
        """Numbers of the answers that are not worth what was stored."""
        return [no for no, same in self._known.items() if not same]

    def verify(self, answers: pl.DataFrame) -> bool:
        """Scores those that were not scored here yet.

        Args:
            answers: Columns `no`, `query_id`, `response`, `quality`.

        Returns:
            Whether all of them are worth what was stored.

        Raises:
            SandboxError: There is code to run and no way to isolate it.
        """
        rows = answers.select("no", "query_id", "response", "quality").rows()
        new = [row for row in rows if row[0] not in self._known]
        for metric in {self._queries[row[1]].metric for row in new}:
            if metric is not None and metric != JUDGE_ONLY and metric not in self._scorers:
                self._scorers[metric] = make_scorer(metric)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="verify") as pool:
            for start in range(0, len(new), _BATCH):
                batch = new[start : start + _BATCH]
                same = pool.map(lambda row: self._same(*row[1:]), batch)
                self._known |= {row[0]: found for row, found in zip(batch, same, strict=True)}
                if self._progress is not None:
                    self._progress(start + len(batch), len(new), "scoring again")
        return all(self._known[row[0]] for row in rows)

    def _same(self, query_id: str, response: str, quality: float | None) -> bool:
        query = self._queries[query_id]
        if query.metric == JUDGE_ONLY:
            return True
        if query.metric is None or query.target is None or quality is None:
            return False
        try:
            return abs(self._scorers[query.metric].score(query, response).value - quality) <= _SAME
        except TaskError:
            return False
