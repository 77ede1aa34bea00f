"""The example plugin, found through its entry point as an installed one would be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fusionfactory.errors import UnknownNameError
from fusionfactory.routers import ROUTERS, load_router
from fusionfactory.testing import make_table

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "shortest_router"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the example as pip would leave it there."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(EXAMPLE / "shortest_router.py", folder)
    info = folder / f"shortest_router-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    make_table(80).write(folder / "log.parquet")
    return folder


def python(site: Path, *arguments: str) -> str:
    """Standard output of a Python process in which the example is installed."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=site, env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


CHECK = """
from fusionfactory.routers import ROUTERS, load_router, make_router, save_router
from fusionfactory.testing import check_router, make_table

assert ROUTERS.names()[-1] == "shortest", ROUTERS.names()
assert make_router("shortest:buckets=3").params() == {"buckets": 3, "seed": 0}
check_router(lambda: make_router("shortest"))
check_router(lambda: make_router("shortest:buckets=1"))
save_router(make_router("shortest").fit(make_table()), "router")
print(load_router("router").decide(["short"])[0].router)
"""


def test_the_example_keeps_the_contract(site: Path) -> None:
    assert python(site, "-W", "error", "-c", CHECK).startswith("shortest@")


def test_the_example_is_evaluated_fitted_and_routes(site: Path, tmp_path: Path) -> None:
    command = ("-m", "fusionfactory")
    routers = ("--router", "shortest:buckets=2", "--scenario", "cost")
    found = json.loads(python(site, *command, "evaluate", "log.parquet", *routers, "--json"))
    assert found["scenarios"]["cost"][0]["router"] == "shortest:buckets=2"
    saved = tmp_path / "saved"
    python(site, *command, "fit", "log.parquet", "--router", "shortest", "--out", str(saved))
    routed = json.loads(python(site, *command, "route", str(saved), "Why?", "--json"))
    assert routed["router"].startswith("shortest@")
    if "shortest" not in ROUTERS.names():
        with pytest.raises(UnknownNameError, match="unknown router 'shortest'; known: stack"):
            load_router(saved)
