"""Where the desk of a run stands, and who works: actors of a Ray cluster."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from fusionfactory.scale.call_worker import CallWorker
from fusionfactory.scale.cluster import worker_count
from fusionfactory.scale.desk import Desk
from fusionfactory.scale.losses import losses_told
from fusionfactory.scale.pool import mapped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from fusionfactory.config import ScaleSection
    from fusionfactory.scale.desk import Orders
    from fusionfactory.scale.shards import Shards

__all__ = ["Hands", "RayHands"]

_CALLS_AT_A_TIME = 4
"""Of one worker, or the driver, to the desk."""


class Hands(Protocol):
    """What a `SharedCalls` works with. A desk's methods are called by `desk.method.remote(...)`."""

    @property
    def workers(self) -> int:
        """How many work at a time."""
        ...

    def desk(self, orders: Orders) -> AbstractContextManager[Any]:
        """Opens a `Desk` and closes it; gives its handle."""
        ...

    def work(self, shards: Shards, arguments: dict[str, Any]) -> None:
        """Has `CallWorker`s, made by these arguments, do every shard; returns when all are done."""
        ...


class RayHands:
    """A pool of actors, and a desk on the node of the driver; in `cluster`.

    Args:
        settings: `[scale]`: how many actors.
    """

    def __init__(self, settings: ScaleSection) -> None:
        self._settings = settings

    @property
    def workers(self) -> int:
        """Of the settings, or by the CPUs of the cluster."""
        return worker_count(self._settings)

    @contextmanager
    def desk(self, orders: Orders) -> Iterator[Any]:
        """A `Desk` beside the driver, without which it is no use.

        Raises:
            ClusterError: It died, or met what nobody foresaw.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = ray.get_runtime_context().get_node_id()
        options = {
            "num_cpus": 0,
            "max_restarts": 0,
            "max_concurrency": _CALLS_AT_A_TIME * (self.workers + 1),
            "scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=False),
        }
        with losses_told("making calls"):
            desk = ray.remote(Desk).options(**options).remote(orders)
            try:
                yield desk
            finally:
                ray.kill(desk)

    def work(self, shards: Shards, arguments: dict[str, Any]) -> None:
        """Maps the shards.

        Raises:
            ClusterError: See `mapped`; of workers that die the desk keeps count.
        """
        parts = shards.parts("calls")
        options: dict[str, Any] = {"doing": "making", "counted": False}
        for _ in mapped(parts, CallWorker, arguments, self._settings, **options):
            pass
