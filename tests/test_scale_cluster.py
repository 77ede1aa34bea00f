"""Joining a Ray cluster: what there is, and what is told where there is none."""

from __future__ import annotations

from typing import Any

from fusionfactory.config import ScaleSection
from fusionfactory.scale.cluster import cluster, worker_count


def test_a_process_stays_in_the_cluster_it_has_joined(ray_cluster: Any) -> None:  # noqa: ANN401
    import ray

    with cluster(ScaleSection()):
        assert len([node for node in ray.nodes() if node["Alive"]]) == 2
    assert ray.is_initialized()


def test_workers_are_counted_by_the_settings_or_the_cpus(ray_cluster: Any) -> None:  # noqa: ANN401
    assert worker_count(ScaleSection(workers=3)) == 3
    assert worker_count(ScaleSection()) == 4
