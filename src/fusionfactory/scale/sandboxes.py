"""Which nodes of a cluster can isolate code."""

from __future__ import annotations

from contextlib import suppress

from fusionfactory.errors import SandboxError
from fusionfactory.sandbox import find_sandbox
from fusionfactory.scale.losses import losses_told

__all__ = ["sandbox_nodes"]


def sandbox_nodes() -> list[str]:
    """Ids of the nodes to put work with code on; in `cluster`.

    Returns:
        Those that have a sandbox, if others have none; else none, for it does not matter.

    Raises:
        SandboxError: No node has one; nothing was run.
    """
    import ray
    from ray.exceptions import TaskUnschedulableError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    tried = ray.remote(num_cpus=0)(_missing)
    asked = {
        node["NodeID"]: tried.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in ray.nodes()
        if node["Alive"]
    }
    missing: dict[str, str | None] = {}
    with losses_told("looking for sandboxes"):
        for node, answer in asked.items():
            # One that has gone meanwhile is no node to ask.
            with suppress(TaskUnschedulableError):
                missing[node] = ray.get(answer)
    having = [node for node, reason in missing.items() if reason is None]
    if not having:
        raise SandboxError(next(filter(None, missing.values()), "no node of the cluster answers"))
    return having if len(having) < len(missing) else []


def _missing() -> str | None:
    """Why this machine cannot isolate code, if so."""
    try:
        find_sandbox()
    except SandboxError as error:
        return str(error)
    return None
