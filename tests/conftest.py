"""What several test files share: a real model, small enough for every run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.cachedir import cache_dir
from fusionfactory.errors import PackageError
from postgres_server import PostgresServer, postgres_server
from ray_cluster import two_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).resolve().parents[1] / "demo" / "models.py"
MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def gguf() -> Path:
    """SmolLM2 in the cache, fetched by the demo's script; the hash is checked there."""
    folder = cache_dir() / "models"
    command = [sys.executable, str(SCRIPT), "--models", str(folder), "--only", MODEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if os.environ.get("CI") == "true":
            raise PackageError(done.stderr)
        pytest.skip(f"the model cannot be fetched here: {done.stderr.strip()[-200:]}")
    (path,) = folder.glob("SmolLM2*.gguf")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that nobody stops; every test takes a database of its own."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a test keeps its store: it runs once for each kind of database."""
    if request.param == "sqlite":
        return str(tmp_path / "runs.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes that this process has joined; see `ray_cluster.two_nodes`."""
    with two_nodes() as cluster:
        yield cluster
