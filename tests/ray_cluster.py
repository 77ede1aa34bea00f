"""A Ray cluster of two nodes on this machine, which all tests that need one share."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NODE", "processes", "two_nodes"]

NODE: dict[str, Any] = {"num_cpus": 4, "object_store_memory": 100 * 2**20}
"""What a node has: virtual CPUs, since actors that take all of them would starve the readers."""


@contextlib.contextmanager
def two_nodes() -> Iterator[Any]:
    """A `ray.cluster_utils.Cluster` that this process has joined; skips where Ray is missing.

    A test that takes a node away adds it first: `add_node(**NODE)`, then `remove_node`.
    """
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    with warnings.catch_warnings():
        # Ray Data warns of its own settings when it makes them.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.")
        import ray
        import ray.data
        from ray.cluster_utils import Cluster

        ray.data.DataContext.get_current()
        cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    try:
        cluster.add_node(**NODE)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.WARNING)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def processes(title: str) -> list[int]:
    """Ids of the processes of this process's cluster whose title starts so."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(status.parent.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        for child in children.get(waiting.pop(), []):
            waiting.append(child)
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/cmdline").read_text().startswith(title):
                    found.append(child)
    return sorted(found)
