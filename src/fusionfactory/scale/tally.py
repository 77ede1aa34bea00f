"""How often a piece of work was begun and ended its process: after a few times nobody tries again.

Ray begins work again whose process has died: on an actor without limit, and after a lack of memory
without limit, too. So a piece that kills every process it is given to would never end.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import ClusterError
from fusionfactory.scale.losses import KEPT, this_process

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = ["MOST_TRIES", "Tally", "Tries"]

MOST_TRIES = 4


class Tally:
    """Counts, for all workers of a driver; lives in a process of the cluster."""

    def __init__(self) -> None:
        self._begun: dict[Hashable, list[str]] = {}

    def begin(self, piece: Hashable, where: str, most: int) -> list[str] | None:
        """A process is to begin a piece of work.

        Returns:
            None if it may, or else the processes that began it before and came to no end: so many
            that nobody is to try again.
        """
        before = self._begun.setdefault(piece, [])
        if len(before) >= most:
            return before
        before.append(where)
        return None

    def end(self, piece: Hashable) -> None:
        """The piece is done, whether well or with an error."""
        self._begun.pop(piece, None)


class Tries:
    """Those of the pieces of one run; made in `cluster`, and sent to its workers."""

    def __init__(self) -> None:
        import ray

        here = ray.get_runtime_context()
        self._tally = _tally(here.get_job_id(), here.get_node_id())
        self._run, self._most = uuid.uuid4().hex, MOST_TRIES

    @contextmanager
    def counted(self, piece: Hashable, what: str) -> Iterator[None]:
        """Does a piece of work.

        Args:
            piece: What no other piece of the run is.
            what: What is done, for the error.

        Raises:
            ClusterError: It has ended as many processes as it may.
        """
        import ray

        key = self._run, piece
        before = ray.get(self._tally.begin.remote(key, this_process(), self._most))
        if before is not None:
            msg = (
                f"{what} ended the process that did it {len(before)} times ({'; '.join(before)}): "
                "native code crashes over it, or the node has too little memory, of which fewer "
                f"`[scale] workers` leave more to each; Ray's log on the node tells more; {KEPT}"
            )
            raise ClusterError(msg)
        try:
            yield
        finally:
            self._tally.end.remote(key)


@lru_cache(maxsize=1)
def _tally(job: str, node: str) -> Any:  # noqa: ANN401  Ray is optional
    """The handle of the tally of a job, beside its driver; one that dies begins to count anew."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    options = {
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": -1,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
    }
    return ray.remote(Tally).options(**options).remote()
