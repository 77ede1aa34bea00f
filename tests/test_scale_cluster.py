"""Joining a Ray cluster: what there is, and what is told where there is none."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.config import ScaleSection
from fusionfactory.scale.cluster import cluster, worker_count
from stored_answers import filled

if TYPE_CHECKING:
    from pathlib import Path

_ALONE = """
import sys
from fusionfactory.cli.app import main
main(["--config", sys.argv[1], "score", "--store", sys.argv[2]])
"""


def score(folder: Path, settings: str) -> subprocess.CompletedProcess[str]:
    """The verb in a process that has joined no cluster."""
    path = folder / "settings.toml"
    path.write_text(f'[scale]\nengine = "ray"\n{settings}', encoding="utf-8")
    command = [sys.executable, "-c", _ALONE, str(path), str(folder / "runs.db")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def notes(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What stands on the terminal beside the verb's own lines, but for one of Ray's settings."""
    return [line for line in done.stderr.splitlines() if "RAY_BACKEND_LOG_LEVEL" not in line]


def test_a_process_stays_in_the_cluster_it_has_joined(ray_cluster: Any) -> None:  # noqa: ANN401
    import ray

    with cluster(ScaleSection()):
        assert len([node for node in ray.nodes() if node["Alive"]]) == 2
    assert ray.is_initialized()


def test_workers_are_counted_by_the_settings_or_the_cpus(ray_cluster: Any) -> None:  # noqa: ANN401
    assert worker_count(ScaleSection(workers=3)) == 3
    assert worker_count(ScaleSection()) == 4


def test_a_cluster_that_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    done = score(tmp_path, f'address = "{address}"')
    assert done.returncode == 2
    assert re.search(
        f"'scale.address': no Ray cluster answers at '{address}': .*refused", done.stderr
    )


def test_ray_client_is_refused_for_ray_data_does_not_work_through_it(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    done = score(tmp_path, 'address = "ray://127.0.0.1:10001"')
    assert done.returncode == 2
    assert "'ray://127.0.0.1:10001' is an address for Ray Client" in done.stderr


def test_a_cluster_is_joined_by_its_address(tmp_path: Path, ray_cluster: Any) -> None:  # noqa: ANN401
    done = score(tmp_path, f'address = "{ray_cluster.address}"\nworkers = 1')
    assert (done.returncode, notes(done)) == (0, [])
    assert done.stdout.startswith("0 answers scored")


def test_without_an_address_a_cluster_is_started_for_the_verb(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    filled(tmp_path / "runs.db", answers=2).close()
    done = score(tmp_path, "workers = 1")
    assert (done.returncode, notes(done)) == (0, [])
    assert done.stdout.startswith("10 answers scored")
