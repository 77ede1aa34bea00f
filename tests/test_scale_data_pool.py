"""Actors on a Ray cluster: where they are put, and what they leave to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.config import ScaleSection
from fusionfactory.scale.pool import cpu_share, mapped, threads_env
from fusionfactory.scale.sandboxes import sandbox_nodes

if TYPE_CHECKING:
    import pyarrow as pa

pytestmark = pytest.mark.usefixtures("ray_cluster")


def three_parts() -> dict[str, pa.Table]:
    import pyarrow as pa

    return {f"part {n}": pa.table({"n": [n]}) for n in range(3)}


def places(nodes: list[str], threads: int = 1) -> list[dict[str, Any]]:
    """Where three parts were worked on, and by how many threads."""

    class Worker:  # in a function, so that it is sent whole: a node has none of the tests
        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self, part: pa.Table) -> pa.Table:
            import os

            import pyarrow as pa
            import ray

            node = ray.get_runtime_context().get_node_id()
            (number,) = part["n"].to_pylist()
            told = os.environ["OMP_NUM_THREADS"]
            return pa.table({"n": [number], "node": [node], "by": [self.name], "threads": [told]})

    options: dict[str, Any] = {"doing": "placing", "threads": threads, "nodes": nodes}
    found = mapped(three_parts(), Worker, {"name": "me"}, ScaleSection(workers=2), **options)
    return [row for table in found for row in table.to_pylist()]


def alive() -> list[str]:
    import ray

    return [node["NodeID"] for node in ray.nodes() if node["Alive"]]


@pytest.mark.parametrize("which", [0, 1])
def test_actors_are_put_on_the_nodes_that_are_named(which: int) -> None:
    node = sorted(alive())[which]
    found = places([node], threads=2)
    assert sorted(row["n"] for row in found) == [0, 1, 2]
    assert {(row["node"], row["by"], row["threads"]) for row in found} == {(node, "me", "2")}


def test_where_the_named_node_is_gone_any_will_do() -> None:
    assert sorted(row["n"] for row in places(["0" * 56])) == [0, 1, 2]


def test_no_parts_are_no_work() -> None:
    assert list(mapped({}, object, {}, ScaleSection(), doing="nothing")) == []


def test_nodes_need_not_be_chosen_where_all_have_a_sandbox() -> None:
    assert sandbox_nodes() == []


@pytest.mark.parametrize(("workers", "share"), [(1, 1.0), (4, 1.0), (8, 0.5), (64, 0.06)])
def test_workers_leave_half_of_the_cpus(workers: int, share: float) -> None:
    assert cpu_share(workers) == share


def test_threads_are_told_by_the_environment() -> None:
    assert threads_env(3) == {"env_vars": {"OMP_NUM_THREADS": "3"}}
