"""Ray Data: a pool of actors that each load what they need once.

An actor whose process or node dies is started again elsewhere, and its batch is done again, as
often as it takes. Ray pickles what it sends between processes: a cluster is trusted as this machine
is.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import ClusterError
from fusionfactory.scale.cluster import worker_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from fusionfactory.config import ScaleSection

__all__ = ["cpu_share", "losses_told", "mapped", "threads_env"]

_LARGEST_SHARE = 1.0
_NO_START = "The actor died because of an error raised in its creation task"


def mapped(
    parts: Sequence[pa.Table],
    worker: type,
    arguments: dict[str, Any],
    settings: ScaleSection,
    *,
    threads: int = 1,
    nodes: Sequence[str] = (),
) -> Iterator[pa.Table]:
    """What a pool of actors makes of tables, one by one as they come.

    Args:
        parts: What actors are given at a time: rows, or names of shards that they read themselves.
        worker: A class whose instances turn one `pa.Table` into another.
        arguments: Of its constructor.
        settings: `[scale]`: how many actors.
        threads: Of numeric libraries in each of them.
        nodes: Ids of the nodes that actors are put on while there are any; all if none is named.

    Raises:
        ClusterError: Ray has given the work up.
    """
    if not parts:
        return
    import ray.data
    from ray.data import ActorPoolStrategy

    _quiet()
    workers = min(worker_count(settings), len(parts))
    done = ray.data.from_arrow(list(parts)).map_batches(
        worker,
        fn_constructor_kwargs=arguments,
        batch_format="pyarrow",
        batch_size=None,
        compute=ActorPoolStrategy(size=workers),
        num_cpus=cpu_share(workers),
        runtime_env=threads_env(threads),
        **_placing(nodes),
    )
    with losses_told():
        yield from done.iter_batches(batch_size=None, batch_format="pyarrow")


@contextmanager
def losses_told() -> Iterator[None]:
    """Raises ClusterError for what Ray says where it has given work up, or cannot begin it."""
    import ray.exceptions as lost

    try:
        yield
    except (
        lost.RayActorError,
        lost.ObjectLostError,
        lost.OutOfMemoryError,
        lost.WorkerCrashedError,
        lost.TaskUnschedulableError,
        lost.ActorUnschedulableError,
    ) as error:
        lines = str(error).strip().splitlines()
        if lines[0].startswith(_NO_START):
            msg = (
                f"a worker cannot start: {lines[-1].strip()}; every node needs this version of the "
                "package, with the same extras"
            )
            raise ClusterError(msg) from error
        what = lines[0]
        msg = f"the cluster lost work again and again ({type(error).__name__}: {what})"
        raise ClusterError(
            msg + "; what was done is kept, and the next run goes on there"
        ) from error


def threads_env(threads: int) -> dict[str, Any]:
    """Environment of workers whose numeric libraries use that many threads."""
    return {"env_vars": {"OMP_NUM_THREADS": str(threads)}}


def cpu_share(workers: int) -> float:
    """CPUs that each of some workers asks for: all of them leave half to what else Ray runs."""
    import ray

    cpus = float(ray.cluster_resources().get("CPU", 1))
    return min(_LARGEST_SHARE, round(cpus / (2 * workers), 2))


def _placing(nodes: Sequence[str]) -> dict[str, Any]:
    if not nodes:
        return {}
    only = {"label_selector": {"ray.io/node-id": f"in({','.join(nodes)})"}}
    return only | {"fallback_strategy": [{"label_selector": {}}]}


def _quiet() -> None:
    """No bars and notes of Ray Data's own between those of the verb."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
