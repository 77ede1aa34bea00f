"""Ray Data: a pool of actors that each load what they need once.

An actor whose process or node dies is started again elsewhere, and its part is done again; a part
that ends every process it is given to is given up after a few times. Ray pickles what it sends
between processes: a cluster is trusted as this machine is.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fusionfactory.scale.cluster import worker_count
from fusionfactory.scale.hand import NAME, Hand, result, sent
from fusionfactory.scale.losses import losses_told
from fusionfactory.scale.tally import Tries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from fusionfactory.config import ScaleSection

__all__ = ["cpu_share", "mapped", "threads_env"]

_LARGEST_SHARE = 1.0


def mapped(
    parts: Mapping[str, pa.Table],
    worker: type,
    arguments: dict[str, Any],
    settings: ScaleSection,
    *,
    doing: str,
    counted: bool = True,
    threads: int = 1,
    nodes: Sequence[str] = (),
) -> Iterator[pa.Table]:
    """What a pool of actors makes of tables, one by one as they come.

    Args:
        parts: What actors are given at a time, by a name for errors: rows, at least one, or names
            of shards that they read themselves.
        worker: A class whose instances turn one `pa.Table` into another.
        arguments: Of its constructor.
        settings: `[scale]`: how many actors.
        doing: What it does with parts, for errors, such as `scoring`.
        counted: A part that ends its process again and again is given up; False if the worker
            itself sees to that.
        threads: Of numeric libraries in each of them.
        nodes: Ids of the nodes that actors are put on while there are any; all if none is named.

    Raises:
        ClusterError: A worker met what nobody foresaw, or died over a part too often, or Ray lost
            work.
        FusionFactoryError: What a worker raised.
    """
    if not parts:
        return
    import pyarrow as pa
    import ray
    import ray.data
    from ray.data import ActorPoolStrategy

    _quiet()
    workers = min(worker_count(settings), len(parts))
    named = [
        part.append_column(NAME, pa.array([name] * part.num_rows, pa.string()))
        for name, part in parts.items()
    ]
    with losses_told(doing):
        # Read with the first part, and not as the actor starts, for that would be tried for ever.
        brought = ray.put((worker, arguments))
        hand = ray.put(Hand(brought, doing, Tries() if counted else None))
        done = ray.data.from_arrow(named).map_batches(
            sent(worker),
            fn_constructor_args=(hand,),
            batch_format="pyarrow",
            batch_size=None,
            compute=ActorPoolStrategy(size=workers),
            num_cpus=cpu_share(workers),
            runtime_env=threads_env(threads),
            **_placing(nodes),
        )
        for batch in done.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield result(batch)


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
    """No bars, notes and tracebacks of Ray Data's own between the lines of the verb."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
