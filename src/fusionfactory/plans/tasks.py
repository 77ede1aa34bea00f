"""The tasks that a plan was trained on, and the metric that says when answers to each agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.errors import UnknownNameError
from fusionfactory.estimator import Estimator
from fusionfactory.routers.tasks import task_labels

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["Tasks"]

_SHOWN = 20


class Tasks(Estimator):
    """The training tasks in the order of the topics of an `Outlook`.

    Attributes:
        names_: t names; empty where the training queries had none. A task stands once for each of
            its domains that is a topic of its own.
        metrics_: t metrics, of most of the task's queries; None where most have none.
    """

    names_: list[str]
    metrics_: list[str | None]

    def fit(self, table: OutcomeTable) -> Self:
        """Learns from the queries of a table, forgetting any earlier fit."""
        self.reset()
        labels = task_labels(table)
        names, metrics = table.queries["task"].to_list(), table.queries["metric"].to_list()
        self.names_, self.metrics_ = [], []
        for label in range(int(labels.max()) + 1):
            rows = np.nonzero(labels == label)[0].tolist()
            own = [metrics[row] for row in rows]
            self.names_.append(names[rows[0]] or "")
            self.metrics_.append(max(dict.fromkeys(own), key=own.count))
        return self

    def nearest(self, topics: FloatArray) -> str | None:
        """Metric of the task that a text is most like; None where that has none.

        Args:
            topics: (t,) of the text's outlook.
        """
        return self.metrics_[int(topics.argmax())]

    def metric(self, task: str) -> str | None:
        """Metric of a task, of its first domain; None where it has none.

        Raises:
            UnknownNameError: It is none of the training tasks.
        """
        if task not in self.names_:
            known = sorted(set(filter(None, self.names_)))
            more = ", ..." if len(known) > _SHOWN else ""
            msg = (
                f"the plan was trained on no task {task[:100]!r}; it knows "
                f"{', '.join(known[:_SHOWN]) or 'no names of tasks'}{more}"
            )
            raise UnknownNameError(msg, field="task")
        return self.metrics_[self.names_.index(task)]
