"""Which nodes of a cluster can isolate code."""

from __future__ import annotations

from fusionfactory.errors import SandboxError
from fusionfactory.sandbox import find_sandbox
from fusionfactory.scale.pool import losses_told

__all__ = ["sandbox_nodes"]


def sandbox_nodes() -> list[str]:
    """Ids of the nodes to put work with code on; in `cluster`.

    Returns:
        Those that have a sandbox, if others have none; else none, for it does not matter.

    Raises:
        SandboxError: No node has one; nothing was run.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ids = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    tried = ray.remote(num_cpus=0)(_missing)
    with losses_told():
        missing = ray.get(
            [
                tried.options(
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
                ).remote()
                for node in ids
            ]
        )
    having = [node for node, reason in zip(ids, missing, strict=True) if reason is None]
    if not having:
        raise SandboxError(missing[0])
    return having if len(having) < len(ids) else []


def _missing() -> str | None:
    """Why this machine cannot isolate code, if so."""
    try:
        find_sandbox()
    except SandboxError as error:
        return str(error)
    return None
